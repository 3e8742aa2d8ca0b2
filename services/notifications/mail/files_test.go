package mail

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/services/notifications/app"
)

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestAMailIsOneFileHoweverOftenAndByHowManyItIsWritten(t *testing.T) {
	files := Files{Dir: filepath.Join(t.TempDir(), "mail")}
	m, c := accountMail(app.VerifyEmail)
	m.RequestedAt = time.Date(2026, 11, 23, 19, 4, 20, 123_000_000, time.UTC)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			session, err := files.open(sender())
			if err != nil {
				t.Error(err)
				return
			}
			defer session.Close()
			if err := session.Send(t.Context(), m, c, noHand); err != nil {
				t.Error(err)
			}
			if sent, err := session.Sent(m); !sent || err != nil {
				t.Error(sent, err)
			}
		})
	}
	wg.Wait()
	got := names(t, files.Dir)
	want := "20261123T190420.123Z-verify_email-" + m.ID.String() + ".eml"
	if len(got) != 1 || got[0] != want {
		t.Fatalf("there are %v, want %s", got, want)
	}
	info, err := os.Stat(filepath.Join(files.Dir, want))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	raw, err := os.ReadFile(filepath.Join(files.Dir, want))
	if err != nil {
		t.Fatal(err)
	}
	if message := parse(t, raw); !strings.Contains(message.text, link) {
		t.Errorf("it says\n%s", message.text)
	}
}

func TestAFileThatIsThereStaysAsItIs(t *testing.T) {
	files := Files{Dir: t.TempDir()}
	m, c := accountMail(app.VerifyEmail)
	if err := os.WriteFile(files.path(m), []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (folder{files, sender()}).Send(t.Context(), m, c, noHand); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(files.path(m)); err != nil || string(raw) != "first" {
		t.Errorf("%s %v", raw, err)
	}
	if got := names(t, files.Dir); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}

func TestOnlyFilesOfKnownMailsAreKept(t *testing.T) {
	files := Files{Dir: t.TempDir()}
	write := func(name string, age time.Duration) string {
		path := filepath.Join(files.Dir, name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Now(), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
		return name
	}
	kept, erased, old := uuid.New(), uuid.New(), uuid.New()
	name := func(id uuid.UUID) string { return "20261123T190420.123Z-verify_email-" + id.String() + ".eml" }
	stays := []string{write(name(kept), 0), write("notes.txt", 1000*time.Hour), write(".writing-2", time.Minute)}
	write(name(erased), 0)
	write(name(old), 100*time.Hour)
	write(".writing-1", 2*time.Hour)
	err := files.Keep(99*time.Hour, func(ids []uuid.UUID) (map[uuid.UUID]bool, error) {
		if len(ids) != 2 {
			t.Errorf("asked for %v", ids)
		}
		return map[uuid.UUID]bool{kept: true, old: true}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(names(t, files.Dir), " ")
	if len(names(t, files.Dir)) != len(stays) {
		t.Errorf("there are %s", got)
	}
	for _, name := range stays {
		if !strings.Contains(got, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if err := files.Keep(time.Hour, func([]uuid.UUID) (map[uuid.UUID]bool, error) { return nil, errors.New("away") }); err == nil || len(names(t, files.Dir)) < 2 {
		t.Errorf("without an answer: %v, %v", err, names(t, files.Dir))
	}
}

func TestWithoutAFolderNothingIsTouched(t *testing.T) {
	t.Chdir(t.TempDir())
	m, _ := accountMail(app.VerifyEmail)
	name := Files{}.path(m)
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Files{}).Delete(m); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
	if _, err := (Files{}).open(sender()); err == nil {
		t.Error("mails can go nowhere, and nobody says so")
	}
}
