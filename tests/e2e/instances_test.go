package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"souk/stack"
)

// TestInterruptedUpLeavesNoProcess sends SIGINT, as Ctrl-C does, while a second
// instance comes up.
func TestInterruptedUpLeavesNoProcess(t *testing.T) {
	home := env.Home + "-interrupted"
	world := append(os.Environ(), "SOUK_HOME="+home, "SOUK_PORT_BASE=27000")
	t.Cleanup(func() { soukIn(t, world, "down", "--clean") })
	err := upUntil(t, world, "started nomad-server", func(souk *os.Process) { _ = souk.Signal(syscall.SIGINT) })
	if err == nil {
		t.Error("an interrupted up ends with exit code 0")
	}
	if left := processesOf(t, home); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// TestUpAfterUpWasKilled kills souk itself with SIGKILL at several points of its
// first run; each time the next run goes on, whatever was half done.
func TestUpAfterUpWasKilled(t *testing.T) {
	world := append(os.Environ(), "SOUK_HOME="+env.Home+"-killed", "SOUK_PORT_BASE=27000")
	t.Cleanup(func() { soukIn(t, world, "down", "--clean") })
	for _, at := range []string{"started consul", "started vault", "initialised Vault", "started nomad-server", "provisioned", "submitted job postgres"} {
		_ = upUntil(t, world, at, func(souk *os.Process) {
			if at == "started vault" {
				time.Sleep(1200 * time.Millisecond) // about when Vault is asked to initialise itself
			}
			_ = souk.Kill()
		})
	}
	soukIn(t, world, "up")
	soukIn(t, world, "status")
}

// upUntil runs `souk up`, calls act when it says at, and returns how it ended.
func upUntil(t *testing.T, world []string, at string, act func(souk *os.Process)) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), env.Program, "up")
	cmd.Dir, cmd.Env = env.Root, world
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		if strings.Contains(scanner.Text(), at) {
			act(cmd.Process)
		}
	}
	return cmd.Wait()
}

// processesOf lists the processes of another instance by its marker.
func processesOf(t *testing.T, home string) []int32 {
	t.Helper()
	all, err := process.Processes()
	if err != nil {
		t.Fatal(err)
	}
	var pids []int32
	for _, p := range all {
		environ, _ := p.Environ()
		for _, e := range environ {
			if e == "SOUK_INSTANCE="+home {
				pids = append(pids, p.Pid)
			}
		}
	}
	return pids
}

func soukIn(t *testing.T, world []string, args ...string) {
	t.Helper()
	cmd := exec.Command(env.Program, args...)
	cmd.Dir, cmd.Env = env.Root, world
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("souk %v: %v\n%s", args, err, out)
	}
}

// TestOrdinaryUserRunsASecondInstance brings up a checkout of another, ordinary
// user beside this instance. It needs root only to become that user: when the
// tests run as an ordinary user, all of them show it.
func TestOrdinaryUserRunsASecondInstance(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the whole run is that of an ordinary user already")
	}
	account := ordinaryUser(t)
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	dir, err := os.MkdirTemp("", "souk-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(dir) })
	checkout := filepath.Join(dir, "souk")
	if err := errors.Join(os.Chmod(dir, 0o755), copyCheckout(checkout), shareCache(filepath.Join(dir, "cache", "souk"))); err != nil {
		t.Fatal(err)
	}
	chown := exec.Command("chown", "-R", fmt.Sprintf("%d:%d", uid, gid), checkout)
	if out, err := chown.CombinedOutput(); err != nil {
		t.Fatalf("chown: %v: %s", err, out)
	}
	if err := errors.Join(os.Chown(dir, uid, gid), os.Chown(filepath.Join(dir, "cache"), uid, gid), os.Chown(filepath.Join(dir, "cache", "souk"), uid, gid)); err != nil {
		t.Fatal(err)
	}
	as := func(ctx context.Context, line string) (string, error) {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
		cmd.Dir = checkout
		cmd.Env = []string{"HOME=" + dir, "XDG_CACHE_HOME=" + filepath.Join(dir, "cache"), "PATH=" + os.Getenv("PATH"),
			"JAVA_HOME=" + os.Getenv("JAVA_HOME"), "GOPROXY=" + goEnv(t, "GOPROXY"), "GOSUMDB=" + goEnv(t, "GOSUMDB"),
			"GOTOOLCHAIN=local", "SOUK_PORT_BASE=28000"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	t.Cleanup(func() {
		if out, err := as(context.Background(), "make down CLEAN=1"); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
		if left := processesOf(t, filepath.Join(checkout, ".souk")); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
	})
	// The services would be compiled without a cache; that they run is seen elsewhere.
	out, err := as(t.Context(), "make bin/souk && bin/souk up --servers")
	if err != nil {
		t.Fatalf("up as %s: %v\n%s", account.Username, err, out)
	}
	out, err = as(t.Context(), "make status")
	if err != nil || !strings.Contains(out, "127.0.0.1:28040") {
		t.Errorf("status: %v\n%s", err, out)
	}
	running := processesOf(t, filepath.Join(checkout, ".souk"))
	if len(running) < 10 {
		t.Errorf("only %d processes run", len(running))
	}
	for _, pid := range running {
		if info, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil && int(info.Sys().(*syscall.Stat_t).Uid) != uid {
			t.Errorf("process %d runs as another user", pid)
		}
	}
	if out, err := env.Souk(t.Context(), "status"); err != nil {
		t.Errorf("the first instance suffers: %v\n%s", err, out)
	}
}

func ordinaryUser(t *testing.T) *user.User {
	t.Helper()
	for _, name := range []string{"daemon", "games", "bin"} {
		if u, err := user.Lookup(name); err == nil {
			return u
		}
	}
	t.Fatal("this system has none of the users daemon, games, bin")
	return nil
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// copyCheckout copies the files that Git knows, or would.
func copyCheckout(to string) error {
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = env.Root
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(out), "\x00"), "\x00") {
		err := linkOrCopy(filepath.Join(env.Root, name), filepath.Join(to, name), false)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // deleted, but not yet in Git
			return err
		}
	}
	return nil
}

// shareCache gives the user the cached servers, which anybody may read.
func shareCache(to string) error {
	cache, err := stack.CacheDir()
	if err != nil {
		return err
	}
	return filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasSuffix(path, ".lock") {
			return err
		}
		if path == filepath.Join(cache, "programs") {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(cache, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		return linkOrCopy(path, filepath.Join(to, rel), true)
	})
}

func linkOrCopy(from, to string, mayLink bool) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	if mayLink && os.Link(from, to) == nil {
		return nil
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// removeAll also removes Go's module cache, whose folders are read-only.
func removeAll(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}

// TestPrometheusScrapesTheServers also has promtool check the configuration as Nomad rendered it.
func TestPrometheusScrapesTheServers(t *testing.T) {
	eventually(t, time.Minute, "all targets are up", func(ctx context.Context) error {
		raw, err := call(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d/api/v1/query?query=sum%%20by%%20(job)%%20(up)", env.Ports.Prometheus), nil)
		if err != nil {
			return err
		}
		for _, want := range []string{`{"metric":{"job":"consul"},"value":[`, `{"metric":{"job":"nomad"},"value":[`, `{"metric":{"job":"vault"},"value":[`} {
			if !strings.Contains(string(raw), want) {
				return fmt.Errorf("%s is missing in %s", want, raw)
			}
		}
		raw, err = call(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d/api/v1/query?query=up%%20%%3D%%3D%%200", env.Ports.Prometheus), nil)
		if err == nil && !strings.Contains(string(raw), `"result":[]`) {
			err = fmt.Errorf("down: %s", raw)
		}
		return err
	})
	configs, err := filepath.Glob(env.Path("data", "nomad-client", "alloc", "*", "prometheus", "local", "prometheus.yml"))
	if err != nil || len(configs) == 0 {
		t.Fatalf("no rendered configuration: %v", err)
	}
	out, err := exec.CommandContext(t.Context(), env.Path("servers", "prometheus", "promtool"), "check", "config", "--syntax-only", configs[0]).CombinedOutput()
	if err != nil {
		t.Errorf("promtool: %v: %s", err, out)
	}
}
