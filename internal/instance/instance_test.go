package instance

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// here is an instance in a folder that any user may enter.
func here(t *testing.T) *Instance {
	t.Helper()
	account, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "souk-instance-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	in := &Instance{Root: dir, Home: filepath.Join(dir, "home"), Ports: portsFrom(23000), Account: account}
	if err := in.Prepare(); err != nil {
		t.Fatal(err)
	}
	return in
}

func TestHomeAndSecretsArePrivate(t *testing.T) {
	in := here(t)
	if _, err := in.TokenSecret("a.token"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{in.Home: 0o700, in.Path("secrets"): 0o700, in.Path("secrets", "a.token"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
	}
}

func TestTokenIsDrawnOnce(t *testing.T) {
	in := here(t)
	first, err := in.TokenSecret("x.token")
	if err != nil {
		t.Fatal(err)
	}
	again, err := in.TokenSecret("x.token")
	if err != nil || again != first {
		t.Errorf("got %q, then %q, %v", first, again, err)
	}
	if other, _ := in.TokenSecret("y.token"); other == first {
		t.Error("two secrets are alike")
	}
}

func TestEmptySecretIsDamage(t *testing.T) {
	in := here(t)
	if err := os.WriteFile(in.Path("secrets", "x.token"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := in.TokenSecret("x.token"); err == nil || !strings.Contains(err.Error(), "is broken") {
		t.Errorf("got %v", err)
	}
}

func TestPrivateFolderBlocksOtherUsers(t *testing.T) {
	dir := t.TempDir()
	private := filepath.Join(dir, "private")
	if err := os.MkdirAll(filepath.Join(private, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	stranger := Account{Name: "stranger", UID: 4242, GID: 4242, Drop: true}
	if stranger.Reaches(filepath.Join(private, "deep")) {
		t.Error("a stranger gets through a folder of mode 0700")
	}
	owner := Account{UID: os.Getuid(), GID: os.Getgid(), Drop: false}
	if !owner.Reaches(filepath.Join(private, "deep")) {
		t.Error("the owner does not get through")
	}
}

func TestSocketPathStaysShort(t *testing.T) {
	in := &Instance{Home: "/" + strings.Repeat("long/", 40)}
	if n := len(in.SocketDir() + "/.s.PGSQL.65535"); n > 100 {
		t.Errorf("the socket's path has %d bytes", n)
	}
	if in := (&Instance{Home: "/srv/souk"}); in.SocketDir() != "/srv/souk/run" {
		t.Errorf("got %s", in.SocketDir())
	}
}

func TestAgentIsFoundByProcessAndStartTime(t *testing.T) {
	in := here(t)
	config := in.Path("config", "sleep.conf")
	if err := os.WriteFile(config, []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Any program that runs until it is ended and names the file among its arguments.
	tail, err := exec.LookPath("tail")
	if err != nil {
		t.Fatal(err)
	}
	a := Agent{Name: "sleeper", Program: tail, Args: []string{"-f", config}, Config: config}
	ctx := context.Background()
	started, err := in.Ensure(ctx, a)
	if err != nil || !started {
		t.Fatalf("started = %v, %v", started, err)
	}
	t.Cleanup(func() { _, _ = in.EndProcesses(ctx) })
	pid := in.PID("sleeper")
	if started, err = in.Ensure(ctx, a); err != nil || started {
		t.Errorf("a second Ensure: started = %v, %v", started, err)
	}
	// A changed configuration restarts it.
	if err := os.WriteFile(config, []byte("2"), 0o644); err != nil {
		t.Fatal(err)
	}
	if started, err = in.Ensure(ctx, a); err != nil || !started || in.PID("sleeper") == pid {
		t.Errorf("after a change: started = %v, %v", started, err)
	}
	if own, err := in.Processes(); err != nil || len(own) != 1 {
		t.Errorf("processes: %v, %v", own, err)
	}
	// One whose pid file was never written is ended before another starts.
	unknown := in.PID("sleeper")
	if err := os.Remove(in.Path("pids", "sleeper.json")); err != nil {
		t.Fatal(err)
	}
	if started, err = in.Ensure(ctx, a); err != nil || !started || in.PID("sleeper") == unknown {
		t.Errorf("without a pid file: started = %v, %v", started, err)
	}
	if own, err := in.Processes(); err != nil || len(own) != 1 {
		t.Errorf("processes: %v, %v", own, err)
	}
	// Somebody else's process with the number of ours is not ours.
	raw, err := os.ReadFile(in.Path("pids", "sleeper.json"))
	if err != nil {
		t.Fatal(err)
	}
	stale := strings.Replace(string(raw), `"started":`, `"started":1`, 1)
	if err := os.WriteFile(in.Path("pids", "sleeper.json"), []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	if in.PID("sleeper") != 0 {
		t.Error("a process that started at another time is taken for ours")
	}
	if n, err := in.EndProcesses(ctx); err != nil || n != 1 {
		t.Errorf("ended %d, %v", n, err)
	}
}

func TestAgentThatDiesSaysWhy(t *testing.T) {
	in := here(t)
	config := in.Path("config", "x.conf")
	if err := os.WriteFile(config, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := in.Ensure(context.Background(), Agent{Name: "x", Program: "/bin/sh", Args: []string{"-c", "echo error: no such thing; exit 3"}, Config: config})
	if err != nil && !strings.Contains(err.Error(), "no such thing") {
		t.Fatal(err)
	}
	if err == nil {
		err = in.Await(context.Background(), "x", func(context.Context) error { time.Sleep(50 * time.Millisecond); return context.DeadlineExceeded })
	}
	if err == nil || !strings.Contains(err.Error(), "error: no such thing") {
		t.Errorf("got %v", err)
	}
}

func TestWipeRefusesWhatIsNoHome(t *testing.T) {
	in := &Instance{Home: t.TempDir()}
	if err := in.Wipe(); err == nil {
		t.Error("a folder that is no home was removed")
	}
}
