// Package testenv gives tests the real servers: an instance of Souk of its own,
// beside any that the developer runs, brought up by the same program that
// everybody uses.
package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"souk/internal/hashistack"
	"souk/internal/instance"
)

// Env is a running instance for tests.
type Env struct {
	*hashistack.Stack
	Program string // the souk program
}

// portBase is the first port of the test instance. With SOUK_TEST_PORT_BASE the tests
// have another instance, beside that one.
const portBase = "22000"

// Open names the test instance and builds the souk program; it starts nothing.
// Packages are tested side by side, so the program is replaced whole.
func Open(ctx context.Context) (*Env, error) {
	base, name := portBase, "test"
	if other := os.Getenv("SOUK_TEST_PORT_BASE"); other != "" && other != portBase {
		base, name = other, "test-"+other
	}
	home, err := instance.DefaultHome(name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Setenv("SOUK_HOME", home), os.Setenv("SOUK_PORT_BASE", base)); err != nil {
		return nil, err
	}
	in, err := instance.Open()
	if err != nil {
		return nil, err
	}
	program := filepath.Join(in.Root, "bin", "souk-"+name)
	built := fmt.Sprintf("%s.%d", program, os.Getpid())
	build := exec.CommandContext(ctx, "go", "build", "-o", built, "./cmd/souk")
	build.Dir = in.Root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build souk: %w: %s", err, out)
	}
	if err := os.Rename(built, program); err != nil {
		return nil, err
	}
	return &Env{Stack: &hashistack.Stack{Instance: in}, Program: program}, nil
}

// Souk runs the program on the test instance and returns what it prints.
func (e *Env) Souk(ctx context.Context, args ...string) (string, error) {
	return e.SoukWith(ctx, nil, args...)
}

// SoukWith is Souk with more environment, and shows the output on stderr as it comes.
func (e *Env) SoukWith(ctx context.Context, env []string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, e.Program, args...)
	cmd.Dir, cmd.Env = e.Root, append(os.Environ(), env...)
	cmd.Stdout = io.MultiWriter(&out, os.Stderr)
	cmd.Stderr = cmd.Stdout
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	err := cmd.Run()
	return out.String(), err
}
