// Package cli tests what souk says on a machine that can't run it, or with
// settings that can't be: one clear line, exit code 1, nothing left behind.
package cli

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "souk-cli-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "souk")
		if out, err := exec.Command("go", "build", "-o", program, "souk/cmd/souk").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build souk: %v: %s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// world is a home and a cache of its own for one call of souk.
type world struct {
	home, cache string
	env         []string
	dir         string
}

func newWorld(t *testing.T) world {
	t.Helper()
	// Not t.TempDir(): its folders are private, and servers that root starts run as another user.
	dir, err := os.MkdirTemp("", "souk-world-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	w := world{home: filepath.Join(dir, "home"), cache: filepath.Join(dir, "cache"), dir: root}
	w.env = append(os.Environ(), "SOUK_HOME="+w.home, "SOUK_PORT_BASE=24000", "XDG_CACHE_HOME="+w.cache, "GOFLAGS=-buildvcs=false")
	return w
}

// fails runs souk and wants exit code 1 and one line on stderr that holds every
// one of words; and no home.
func (w world) fails(t *testing.T, args []string, words ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err := cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d (%v), want 1", code, err)
	}
	var said []string
	for line := range strings.Lines(stderr.String()) {
		if strings.HasPrefix(line, "souk: ") {
			said = append(said, line)
		}
	}
	if len(said) != 1 {
		t.Fatalf("want one line that begins with souk:, got:\n%s", stderr.String())
	}
	for _, word := range words {
		if !strings.Contains(said[0], word) {
			t.Errorf("the line lacks %q: %s", word, said[0])
		}
	}
}

func (w world) leavesNothing(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(w.home); err == nil {
		t.Errorf("%s was made", w.home)
	}
}

// fake puts a program on an otherwise empty PATH beside those named in keep.
func (w *world) fake(t *testing.T, name, output string, keep ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, k := range keep {
		path, err := exec.LookPath(k)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, k)); err != nil {
			t.Fatal(err)
		}
	}
	if name != "" {
		script := "#!/bin/sh\necho '" + output + "'\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.env = append(w.env, "PATH="+dir, "JAVA_HOME=")
}

// jdk17 is what a JDK prints, to -version and to --list-modules alike.
const jdk17 = `openjdk version "17.0.1" jdk.compiler@17.0.1`

func TestMissingJavaIsNamed(t *testing.T) {
	w := newWorld(t)
	w.fake(t, "", "", "go")
	w.fails(t, []string{"up"}, "java is not on PATH", "install a JDK from 17 to 23", "JAVA_HOME")
	w.leavesNothing(t)
}

func TestMissingGoIsNamed(t *testing.T) {
	w := newWorld(t)
	w.fake(t, "java", jdk17)
	w.fails(t, []string{"up"}, "Go (go) is not on PATH", "install Go")
	w.leavesNothing(t)
}

func TestMissingMavenIsNamedWhenItIsNeeded(t *testing.T) {
	w := newWorld(t)
	w.fake(t, "java", jdk17, "go", "gcc")
	w.fails(t, []string{"up"}, "Maven (mvn) is not on PATH", "install Maven")
	w.leavesNothing(t)
}

func TestMissingCompilerIsNamedWhenItIsNeeded(t *testing.T) {
	w := newWorld(t)
	w.fake(t, "java", jdk17, "go", "mvn")
	w.env = append(w.env, "CC=")
	w.fails(t, []string{"up"}, "C compiler", "install gcc or clang")
	w.leavesNothing(t)
}

func TestOldJavaIsRefused(t *testing.T) {
	w := newWorld(t)
	w.fake(t, "java", `openjdk version "11.0.2"`, "go")
	w.fails(t, []string{"up"}, "is Java 11", "from 17 to 23")
	w.leavesNothing(t)
}

func TestJavaRuntimeWithoutCompilerIsRefused(t *testing.T) {
	w := newWorld(t)
	w.fake(t, "java", `openjdk version "17.0.1" java.base@17.0.1`, "go")
	w.fails(t, []string{"up"}, "without a compiler", "install a JDK")
	w.leavesNothing(t)
}

func TestTakenPortIsNamedWithItsOwner(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:24020")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.fails(t, []string{"up"}, "port 24020 (Vault) is taken", fmt.Sprintf("process %d", os.Getpid()), "SOUK_PORT_BASE")
	w.leavesNothing(t)
}

func TestNamedServerOfAnotherVersionIsRefused(t *testing.T) {
	w := newWorld(t)
	consul := filepath.Join(t.TempDir(), "consul")
	if err := os.WriteFile(consul, []byte("#!/bin/sh\necho 'Consul v1.9.0'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.env = append(w.env, "SOUK_CONSUL="+consul)
	w.fails(t, []string{"up"}, "is version 1.9.0", "Souk needs 1.20.x", "SOUK_CONSUL")
	w.leavesNothing(t)
}

func TestServerOfAnotherVersionOnPATHIsNotedAndNotUsed(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "consul"), []byte("#!/bin/sh\necho 'Consul v1.9.0'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.env = append(w.env, "PATH="+dir+":"+os.Getenv("PATH"))
	cmd := exec.CommandContext(t.Context(), program, "doctor")
	cmd.Dir, cmd.Env = w.dir, w.env
	out, _ := cmd.CombinedOutput()
	if !strings.Contains(string(out), "is version 1.9.0; Souk needs 1.20.x; using Souk's own consul 1.20.1 instead") {
		t.Errorf("doctor does not tell:\n%s", out)
	}
}

func TestNoNetworkIsOneLine(t *testing.T) {
	w := newWorld(t)
	w.env = append(w.env, "GOPROXY=off", "GOMODCACHE="+filepath.Join(w.cache, "mod"), "MAVEN_OPTS=-Dmaven.repo.local="+filepath.Join(w.cache, "m2")+
		" -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9 -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=9")
	w.fails(t, []string{"up"}, "cannot fetch", "check the network or proxy and run it again")
	w.leavesNothing(t)
	left, err := filepath.Glob(filepath.Join(w.cache, "souk", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if !strings.HasSuffix(path, ".lock") {
			t.Errorf("half of something was left: %s", path)
		}
	}
}

func TestHomeThatIsAFileIsRefused(t *testing.T) {
	w := newWorld(t)
	if err := os.WriteFile(w.home, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(t, []string{"up"}, w.home, "is broken", "make down CLEAN=1")
}

func TestUnreadableSettingsAreRefused(t *testing.T) {
	w := newWorld(t)
	if err := os.Mkdir(w.home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.home, "instance.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(t, []string{"up"}, "instance.json", "is broken", "make down CLEAN=1")
	w.fails(t, []string{"status"}, "is broken")
}

func TestPortBaseOutOfRangeIsRefused(t *testing.T) {
	for _, base := range []string{"80", "70000", "65000", "many", "-1"} {
		w := newWorld(t)
		w.env = append(w.env, "SOUK_PORT_BASE="+base)
		w.fails(t, []string{"up"}, "SOUK_PORT_BASE", "from 1024 to 64536")
		w.leavesNothing(t)
	}
}

func TestOtherPortBaseThanTheHomeHasIsRefused(t *testing.T) {
	w := newWorld(t)
	if err := os.Mkdir(w.home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.home, "instance.json"), []byte(`{"port_base":25000}`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(t, []string{"up"}, "SOUK_PORT_BASE=25000", "not 24000")
}

func TestOutsideACheckoutIsSaid(t *testing.T) {
	w := newWorld(t)
	w.dir = t.TempDir()
	w.fails(t, []string{"up"}, "not inside a checkout of Souk")
}

func TestCleanOfAForeignFolderIsRefused(t *testing.T) {
	w := newWorld(t)
	if err := os.Mkdir(w.home, 0o755); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(w.home, "thesis.txt")
	if err := os.WriteFile(precious, []byte("years of work"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(t, []string{"down", "--clean"}, "does not look like a home of Souk's")
	if _, err := os.Stat(precious); err != nil {
		t.Error("it was removed")
	}
}

func TestCommandsBeforeTheFirstUpSayWhatToDo(t *testing.T) {
	for _, command := range []string{"status", "env", "plan"} {
		newWorld(t).fails(t, []string{command}, "make up")
	}
}

// TestInterruptedBuildEndsItsCompilers sends SIGINT while Consul is built.
func TestInterruptedBuildEndsItsCompilers(t *testing.T) {
	w := newWorld(t)
	w.env = append(w.env, "PATH="+pathWithout(t, "consul"))
	cmd := exec.CommandContext(t.Context(), program, "build")
	cmd.Dir, cmd.Env = w.dir, w.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tmp := ""
	for deadline := time.Now().Add(30 * time.Second); tmp == "" && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if found, _ := filepath.Glob(filepath.Join(w.cache, "souk", "consul-*.tmp")); len(found) > 0 {
			tmp = found[0]
		}
	}
	time.Sleep(2 * time.Second)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("an interrupted build ends with exit code 0")
	}
	if !strings.Contains(stderr.String(), "run it again and it goes on from there") {
		t.Errorf("it says: %s", stderr.String())
	}
	if _, err := os.Stat(tmp); tmp == "" || err == nil {
		t.Errorf("the unfinished entry %q was left", tmp)
	}
	all, err := process.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if line, _ := p.Cmdline(); strings.Contains(line, w.cache) {
			t.Errorf("process %d goes on: %s", p.Pid, line)
		}
	}
}

// pathWithout is PATH without the folders that hold program.
func pathWithout(t *testing.T, program string) string {
	t.Helper()
	var kept []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			kept = append(kept, dir)
		}
	}
	return strings.Join(kept, string(os.PathListSeparator))
}
