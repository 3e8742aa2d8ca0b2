package stack

import (
	"os"
	"path/filepath"
	"testing"
)

func sealed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	tmp, entry := filepath.Join(dir, "e.tmp"), filepath.Join(dir, "e")
	for name, content := range map[string]string{"bin/server": "machine code", "share/zone": "UTC"} {
		path := filepath.Join(tmp, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(tmp, "plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("server", filepath.Join(tmp, "bin", "alias")); err != nil {
		t.Fatal(err)
	}
	if err := seal(Server{Name: "server", Version: "1"}, tmp, entry); err != nil {
		t.Fatal(err)
	}
	return entry
}

func TestSealedEntryIsIntact(t *testing.T) {
	if ok, absent := intact(sealed(t)); !ok || absent {
		t.Errorf("intact = %v, absent = %v", ok, absent)
	}
}

func TestMissingEntryIsAbsentNotDamaged(t *testing.T) {
	if ok, absent := intact(filepath.Join(t.TempDir(), "nothing")); ok || !absent {
		t.Errorf("intact = %v, absent = %v", ok, absent)
	}
}

func TestDamageIsNoticed(t *testing.T) {
	for name, damage := range map[string]func(entry string) error{
		"a changed byte": func(e string) error {
			return os.WriteFile(filepath.Join(e, "bin/server"), []byte("machine cOde"), 0o755)
		},
		"a truncated file":       func(e string) error { return os.Truncate(filepath.Join(e, "share/zone"), 1) },
		"a missing file":         func(e string) error { return os.Remove(filepath.Join(e, "share/zone")) },
		"a file too many":        func(e string) error { return os.WriteFile(filepath.Join(e, "bin/extra"), nil, 0o755) },
		"a missing empty folder": func(e string) error { return os.Remove(filepath.Join(e, "plugins")) },
		"another link":           func(e string) error { return os.Rename(filepath.Join(e, "bin/alias"), filepath.Join(e, "bin/alias2")) },
		"no manifest":            func(e string) error { return os.Remove(filepath.Join(e, manifestName)) },
		"half a manifest":        func(e string) error { return os.Truncate(filepath.Join(e, manifestName), 20) },
		"an emptied folder":      func(e string) error { return os.RemoveAll(filepath.Join(e, "bin")) },
		"a manifest of nothing":  func(e string) error { return os.WriteFile(filepath.Join(e, manifestName), []byte("{}"), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			entry := sealed(t)
			if err := damage(entry); err != nil {
				t.Fatal(err)
			}
			if ok, absent := intact(entry); ok || absent {
				t.Errorf("intact = %v, absent = %v", ok, absent)
			}
		})
	}
}

func TestChangedPinGetsAnEntryOfItsOwn(t *testing.T) {
	root := t.TempDir()
	write := func(content string) {
		dir := filepath.Join(root, "stack", "consul")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "go.sum"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := &Builder{Root: root, Cache: "/cache"}
	entry := func(s Server) string {
		dir, err := b.entryDir(s)
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	s := Server{Name: "consul", Version: "1", Go: []GoBinary{{Name: "consul"}}}
	write("one")
	first := entry(s)
	if again := entry(s); again != first {
		t.Errorf("the same pins name %s and %s", first, again)
	}
	write("two")
	if entry(s) == first {
		t.Error("a changed go.sum names the same entry")
	}
	write("one")
	s.Go[0].Tags = "minimal"
	if entry(s) == first {
		t.Error("other build tags name the same entry")
	}
}

func TestEveryServerHasItsPins(t *testing.T) {
	for _, s := range Servers() {
		file := "go.mod"
		if s.Maven != nil {
			file = "pom.xml"
		}
		if _, err := os.Stat(filepath.Join(s.module(), file)); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if s.Licence == "" || s.Version == "" {
			t.Errorf("%s lacks a licence or version", s.Name)
		}
	}
}
