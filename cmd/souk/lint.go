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
	var fix bool
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Check terraform/, nomad/ and consul-config/ with the tools that read them; needs nothing running",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := newApp(os.Stdout)
			if err != nil {
				return err
			}
			if err := a.locate(cmd.Context()); err != nil {
				return err
			}
			return a.lint(cmd.Context(), fix)
		},
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "only format the files")
	return cmd
}

func (a *app) lint(ctx context.Context, fix bool) error {
	tofu, nomad, consul := a.found["opentofu"].Program, a.found["nomad"].Program, a.found["consul"].Program
	scratch, err := os.MkdirTemp("", "souk-lint-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	format := []string{"fmt", "-check", "-recursive"}
	if fix {
		format = []string{"fmt", "-recursive"}
	}
	for program, folder := range map[string]string{tofu: "terraform", nomad: "nomad"} {
		if err := a.lintStep(ctx, nil, program, append(format, folder)...); err != nil {
			return err
		}
	}
	if fix {
		return nil
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
	if err := a.lintConfig(ctx); err != nil {
		return err
	}
	prod := filepath.Join("nomad", "agent", "prod")
	for _, files := range [][]string{{"nomad-server.hcl"}, {"nomad-client.hcl"}, {"nomad-client.hcl", "nomad-client-stateful.hcl"}} {
		args := []string{"config", "validate"}
		for _, f := range files {
			args = append(args, filepath.Join(prod, f))
		}
		if err := a.lintStep(ctx, nil, nomad, args...); err != nil {
			return err
		}
	}
	for _, file := range []string{"consul-server.hcl", "consul-client.hcl"} {
		if err := a.lintStep(ctx, nil, consul, "validate", filepath.Join(prod, file)); err != nil {
			return err
		}
	}
	return nil
}

// lintConfig checks the documents of every environment with their services' programs.
func (a *app) lintConfig(ctx context.Context) error {
	folders, err := filepath.Glob(filepath.Join(a.Root, "consul-config", "kv", "*"))
	if err != nil {
		return err
	}
	for _, dir := range folders {
		env := filepath.Base(dir)
		c, err := a.openConfig(ctx, nil, env, dir)
		if err != nil {
			return err
		}
		documents, err := readDocuments(dir)
		if err != nil {
			return err
		}
		if err := c.store.CheckAll(ctx, documents); err != nil {
			return err
		}
		a.say("  consul-config/kv/%s is valid", env)
	}
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
