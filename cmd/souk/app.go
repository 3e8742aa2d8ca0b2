package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"souk/internal/deploy"
	"souk/internal/hashistack"
	"souk/internal/instance"
	"souk/internal/provision"
	"souk/stack"
)

// app is one call of souk on one instance.
type app struct {
	*instance.Instance
	out   *os.File
	found map[string]stack.Found
}

func newApp(out *os.File) (*app, error) {
	in, err := instance.Open()
	if err != nil {
		return nil, err
	}
	return &app{Instance: in, out: out}, nil
}

func (a *app) say(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }

// locate finds every server, and builds or fetches those that are missing.
func (a *app) locate(ctx context.Context) error {
	if jdk := stack.Java(ctx); jdk.Problem != "" {
		return errors.New(jdk.Problem)
	}
	cache, err := stack.CacheDir()
	if err != nil {
		return err
	}
	b := &stack.Builder{Root: a.Root, Cache: cache, Progress: stack.NewProgress(a.out)}
	a.found, err = b.Ensure(ctx, stack.Servers())
	return err
}

// install puts the servers' files where the servers' user reaches them, and
// builds Souk's own programs beside them.
func (a *app) install(ctx context.Context) error {
	// The one that is not in use today must not be found by terraformProgram.
	for _, name := range []string{"tofu", "terraform"} {
		if name != filepath.Base(a.found["opentofu"].Program) {
			_ = os.Remove(a.Path("bin", name))
		}
	}
	for _, f := range a.found {
		var err error
		switch {
		case f.Server.Name == "vault-postgresql-plugin":
			err = a.InstallFile(filepath.Join("plugins", filepath.Base(f.Program)), f.Program)
		case f.Server.Name == "terraform-provider-vault":
			// stays in the cache: the caller runs it
		case f.Server.Name == "postgres" && f.OnPATH:
			// bin/ is expected below the server's folder
			var program string
			if program, err = filepath.EvalSymlinks(f.Program); err == nil {
				err = a.Install(filepath.Join("servers", "postgres"), filepath.Dir(filepath.Dir(program)))
			}
		case f.OnPATH && f.Server.Name != "prometheus" && !a.Account.Reaches(f.Dir):
			err = a.InstallFile(filepath.Join("bin", filepath.Base(f.Program)), f.Program)
		case f.OnPATH && f.Server.Name != "prometheus":
			err = a.linkProgram(f.Program)
		default:
			if err = a.Install(filepath.Join("servers", f.Server.Name), f.Dir); err == nil && isTool(f) {
				err = a.linkProgram(a.Path("servers", f.Server.Name, filepath.Base(f.Program)))
			}
		}
		if err != nil {
			return fmt.Errorf("install %s: %w", f.Server.Name, err)
		}
	}
	if err := a.RemoveOldCopies(); err != nil {
		return err
	}
	if err := a.goBuild(ctx, false, a.Path("bin")+"/", "./cmd/pgsetup", "./cmd/probe"); err != nil {
		return fmt.Errorf("build Souk's own programs: %w", err)
	}
	return nil
}

// isTool: people call these by hand, so they stand in bin/.
func isTool(f stack.Found) bool {
	return len(f.Server.Go) > 0 && f.Server.Name != "prometheus"
}

func (a *app) linkProgram(target string) error {
	link := a.Path("bin", filepath.Base(target))
	if have, err := os.Readlink(link); err == nil && have == target {
		return nil
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, link)
}

// terraformProgram is bin/tofu, or bin/terraform where that is the one on PATH.
func (a *app) terraformProgram() string {
	for _, name := range []string{"tofu", "terraform"} {
		if _, err := os.Stat(a.Path("bin", name)); err == nil {
			return a.Path("bin", name)
		}
	}
	return "tofu"
}

func (a *app) hashistack() *hashistack.Stack {
	return &hashistack.Stack{Instance: a.Instance, Programs: map[string]string{
		"consul": a.Path("bin", "consul"), "vault": a.Path("bin", "vault"),
		"nomad-server": a.Path("bin", "nomad"), "nomad-client": a.Path("bin", "nomad"),
		"postgresql-database-plugin": a.Path("plugins", "postgresql-database-plugin"),
	}}
}

func (a *app) deployer() (*deploy.Deployer, error) {
	s := a.hashistack()
	nomad, err := s.Nomad()
	if err != nil {
		return nil, err
	}
	consul, err := s.Consul()
	if err != nil {
		return nil, err
	}
	env, err := a.operatorEnv()
	if err != nil {
		return nil, err
	}
	return &deploy.Deployer{Program: a.Path("bin", "nomad"), Env: env, Nomad: nomad, Consul: consul}, nil
}

func (a *app) terraform() (*provision.Terraform, error) {
	provider, ok := a.found["terraform-provider-vault"]
	if !ok {
		return nil, errors.New("the Vault provider has not been located")
	}
	env, err := a.operatorEnv()
	if err != nil {
		return nil, err
	}
	return &provision.Terraform{
		Program: a.terraformProgram(), Provider: provider.Program, Version: provider.Server.Version,
		Root: filepath.Join(a.Root, "terraform", "dev"), State: a.Path("terraform"), Backend: true, Env: env,
	}, nil
}

// scratchTerraform is terraform/<root> without an instance: enough to validate it.
func (a *app) scratchTerraform(dir, root string) (*provision.Terraform, error) {
	provider := a.found["terraform-provider-vault"]
	return &provision.Terraform{
		Program: a.found["opentofu"].Program, Provider: provider.Program, Version: provider.Server.Version,
		Root: filepath.Join(a.Root, "terraform", root), State: dir, Backend: false, Env: os.Environ(),
	}, os.MkdirAll(dir, 0o700)
}
