// Package provision applies terraform/ to an instance's Vault, Consul and Nomad
// with OpenTofu or Terraform.
package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// Terraform runs one root module.
type Terraform struct {
	Program  string   // tofu or terraform
	Provider string   // program of the Vault provider, from the cache
	Version  string   // of the provider
	Root     string   // folder of the root module
	State    string   // folder for state and working data; without Backend the state is not touched
	Backend  bool     // false only to validate
	Env      []string // addresses, tokens and TF_VAR_*
}

// Prepare makes Root usable, and keeps other instances of the same checkout out
// of it until unlock is called.
func (t *Terraform) Prepare(ctx context.Context) (unlock func(), err error) {
	l := flock.New(filepath.Join(filepath.Dir(t.Root), ".lock"))
	if _, err := l.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return nil, fmt.Errorf("lock %s: %w", l.Path(), err)
	}
	unlock = func() { _ = l.Unlock() }
	if err := t.init(ctx); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

func (t *Terraform) init(ctx context.Context) error {
	if err := t.mirror(); err != nil {
		return err
	}
	// It holds the checksum of the provider, which the cache vouches for already, and which
	// differs from machine to machine.
	if err := os.Remove(filepath.Join(t.Root, ".terraform.lock.hcl")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	args := []string{"init", "-input=false", "-no-color", "-reconfigure"}
	if t.Backend {
		args = append(args, "-backend-config=path="+filepath.Join(t.State, "terraform.tfstate"))
	} else {
		args = append(args, "-backend=false")
	}
	return t.run(ctx, nil, args...)
}

// mirror lays the provider out as a file system mirror, so that nothing is asked
// of a registry.
func (t *Terraform) mirror() error {
	platform := runtime.GOOS + "_" + runtime.GOARCH
	for _, host := range []string{"registry.opentofu.org", "registry.terraform.io"} {
		dir := filepath.Join(t.State, "mirror", host, "hashicorp", "vault", t.Version, platform)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		link := filepath.Join(dir, "terraform-provider-vault_v"+t.Version)
		_ = os.Remove(link)
		if err := os.Symlink(t.Provider, link); err != nil {
			return err
		}
	}
	config := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\ndisable_checkpoint = true\n", filepath.Join(t.State, "mirror"))
	return os.WriteFile(filepath.Join(t.State, "cli.tfrc"), []byte(config), 0o600)
}

// Environ is the environment in which the tool sees the mirror and its data.
func (t *Terraform) Environ() []string {
	return append(append([]string{}, t.Env...),
		"TF_CLI_CONFIG_FILE="+filepath.Join(t.State, "cli.tfrc"),
		"TF_DATA_DIR="+filepath.Join(t.State, "data"),
		"TF_IN_AUTOMATION=1")
}

// Apply makes the servers what the files say. It reports whether anything changed.
func (t *Terraform) Apply(ctx context.Context) (changed bool, err error) {
	plan := filepath.Join(t.State, "up.tfplan")
	defer os.Remove(plan)
	err = t.run(ctx, nil, "plan", "-input=false", "-no-color", "-detailed-exitcode", "-out="+plan)
	if err == nil {
		return false, nil
	}
	// Exit code 2 says that the plan holds changes.
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		return false, err
	}
	return true, t.run(ctx, nil, "apply", "-input=false", "-no-color", plan)
}

// Interactive runs plan, apply or destroy with the caller's terminal.
func (t *Terraform) Interactive(ctx context.Context, args ...string) error {
	return t.run(ctx, os.Stdout, args...)
}

func (t *Terraform) run(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, t.Program, append([]string{"-chdir=" + t.Root}, args...)...)
	cmd.Env = t.Environ()
	// Interrupted, it finishes the object at hand and writes its state.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 30 * time.Second
	var output bytes.Buffer
	if out != nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, os.Stderr
	} else {
		cmd.Stdout, cmd.Stderr = &output, &output
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted during %s %s", filepath.Base(t.Program), args[0])
		}
		return fmt.Errorf("%s %s: %w%s", filepath.Base(t.Program), args[0], err, problem(output.String()))
	}
	return nil
}

// problem is the first error of the tool's output in one line.
func problem(output string) string {
	_, rest, ok := strings.Cut(output, "Error: ")
	if !ok {
		return ""
	}
	rest = strings.NewReplacer("│", " ", "╵", " ", "╷", " ").Replace(rest)
	rest, _, _ = strings.Cut(rest, "Error: ")
	text := strings.Join(strings.Fields(rest), " ")
	if len(text) > 500 {
		text = text[:500] + " ..."
	}
	return ": " + text
}

// Validate checks the root without any server or state.
func (t *Terraform) Validate(ctx context.Context) error {
	unlock, err := t.Prepare(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return t.run(ctx, nil, "validate", "-no-color")
}
