package stack

import (
	"archive/tar"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ulikunitz/xz"
)

func TestFailedBuildIsExplainedInOneLine(t *testing.T) {
	s := Server{Name: "consul", Version: "1.20.1"}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no network":       {&commandError{output: "go: downloading x v1\ngo: x@v1: Get \"https://example.org\": dial tcp: lookup example.org: no such host\n", err: errors.New("exit status 1")}, "check the network or proxy"},
		"full disk":        {&commandError{output: "write /x: no space left on device\n", err: errors.New("exit status 1")}, "the disk is full"},
		"full disk, ours":  {&os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}, "the disk is full"},
		"a compiler error": {&commandError{output: "# pkg\nx.go:1:1: syntax error: unexpected }\nmore\n", err: errors.New("exit status 1")}, "x.go:1:1: syntax error"},
	} {
		t.Run(name, func(t *testing.T) {
			got := explain(context.Background(), s, c.err).Error()
			if !strings.Contains(got, c.want) || strings.Contains(got, "\n") {
				t.Errorf("got %q, want one line with %q", got, c.want)
			}
		})
	}
}

func TestInterruptedBuildSaysHowToGoOn(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	got := explain(ctx, Server{Name: "consul"}, errors.New("signal: terminated")).Error()
	if !strings.Contains(got, "run it again") {
		t.Errorf("got %q", got)
	}
}

func TestTooLittleDiskIsRefused(t *testing.T) {
	err := RequireSpace(filepath.Join(t.TempDir(), "not", "made", "yet"), 1<<62, "for the test")
	if err == nil || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("got %v", err)
	}
	if err := RequireSpace(t.TempDir(), 1, "for the test"); err != nil {
		t.Error(err)
	}
}

func TestArchiveCantWriteOutsideItsFolder(t *testing.T) {
	for _, name := range []string{"../outside", "/outside", "a/../../outside"} {
		dir := t.TempDir()
		inner := filepath.Join(dir, "inner")
		if err := os.Mkdir(inner, 0o755); err != nil {
			t.Fatal(err)
		}
		archive := filepath.Join(dir, "a.txz")
		writeTXZ(t, archive, &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 1}, "x")
		_ = unpackTXZ(archive, inner)
		if _, err := os.Stat(filepath.Join(dir, "outside")); err == nil {
			t.Errorf("%s was written outside", name)
		}
		if _, err := os.Stat("/outside"); err == nil {
			t.Error("/outside was written")
		}
	}
}

func TestArchiveKeepsModesAndLinks(t *testing.T) {
	dir := t.TempDir()
	archive := filepath.Join(dir, "a.txz")
	writeTXZ(t, archive, &tar.Header{Name: "./bin/run", Typeflag: tar.TypeReg, Mode: 0o755, Size: 1}, "x",
		&tar.Header{Name: "./lib/l.so", Typeflag: tar.TypeSymlink, Linkname: "l.so.1"})
	if err := unpackTXZ(archive, dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "bin", "run")); err != nil || info.Mode().Perm()&0o555 != 0o555 {
		t.Errorf("bin/run: %v %v", info, err)
	}
	if target, err := os.Readlink(filepath.Join(dir, "lib", "l.so")); err != nil || target != "l.so.1" {
		t.Errorf("lib/l.so -> %s, %v", target, err)
	}
}

func writeTXZ(t *testing.T, path string, first *tar.Header, content string, more ...*tar.Header) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := xz.NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(packed)
	for _, h := range append([]*tar.Header{first}, more...) {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h == first {
			if _, err := w.Write([]byte(content)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), packed.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
