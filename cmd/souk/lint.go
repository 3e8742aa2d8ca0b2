package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"
)

// lintCommand checks the files that Go's linters don't read, with the tools that will read them.
func lintCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lint",
		Short: "Check terraform/, nomad/ and consul-config/ with the official tools; needs nothing running",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := newApp(os.Stdout)
			if err != nil {
				return err
			}
			if err := a.locate(cmd.Context()); err != nil {
				return err
			}
			return a.lint(cmd.Context())
		},
	}
}

func (a *app) lint(ctx context.Context) error {
	tofu, nomad, consul := a.found["opentofu"].Program, a.found["nomad"].Program, a.found["consul"].Program
	scratch, err := os.MkdirTemp("", "souk-lint-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := a.lintStep(ctx, nil, tofu, "fmt", "-check", "-recursive", "terraform"); err != nil {
		return err
	}
	for _, root := range []string{"dev", "prod"} {
		t, err := a.scratchTerraform(filepath.Join(scratch, root), root)
		if err != nil {
			return err
		}
		if err := t.Validate(ctx); err != nil {
			return err
		}
		a.say("  terraform/%s is valid", root)
	}
	if err := a.lintStep(ctx, nil, nomad, "fmt", "-check", "-recursive", "nomad"); err != nil {
		return err
	}
	jobs, err := filepath.Glob(filepath.Join(a.Root, "nomad", "*", "*.nomad.hcl"))
	if err != nil || len(jobs) == 0 {
		return fmt.Errorf("no job files found: %v", err)
	}
	// An address where nobody listens: the tool then checks by itself.
	env := []string{"NOMAD_ADDR=http://127.0.0.1:9"}
	for name, value := range a.variables() {
		if name != "NOMAD_ADDR" {
			env = append(env, name+"="+value)
		}
	}
	for _, job := range jobs {
		if err := a.lintStep(ctx, env, nomad, "job", "validate", job); err != nil {
			return err
		}
	}
	agents, err := filepath.Glob(filepath.Join(a.Root, "nomad", "agent", "prod", "nomad-*.hcl"))
	if err != nil {
		return err
	}
	for _, file := range agents {
		if err := a.lintStep(ctx, nil, nomad, "config", "validate", file); err != nil {
			return err
		}
	}
	_ = consul
	return nil
}

func (a *app) lintStep(ctx context.Context, env []string, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = a.Root, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", filepath.Base(program), args, err, out)
	}
	a.say("  %s %v", filepath.Base(program), args)
	return nil
}
