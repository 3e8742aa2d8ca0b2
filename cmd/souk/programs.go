package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"souk/stack"
)

// gatewayName is the program that is not under services/.
const gatewayName = "gateway"

// serviceNames lists the programs that a checkout has: one a folder of services/ that
// holds a main.go, and the gateway last, as it routes to the others.
func (a *app) serviceNames() ([]string, error) {
	mains, err := filepath.Glob(filepath.Join(a.Root, "services", "*", "main.go"))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(mains)+1)
	for _, m := range mains {
		names = append(names, filepath.Base(filepath.Dir(m)))
	}
	sort.Strings(names)
	return append(names, gatewayName), nil
}

func packageOf(program string) string {
	switch program {
	case gatewayName:
		return "./gateway"
	case reconcileJob:
		return "./cmd/reconcile"
	}
	return "./services/" + program
}

// programNames lists everything of Souk's own that Nomad runs.
func (a *app) programNames() ([]string, error) {
	services, err := a.serviceNames()
	return append(services, reconcileJob), err
}

// buildPrograms compiles services into the cache and returns each one's path. What
// has not changed is not linked again.
func (a *app) buildPrograms(ctx context.Context, services ...string) (map[string]string, error) {
	cache, err := stack.CacheDir()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(a.Root))
	dir := filepath.Join(cache, "programs", hex.EncodeToString(sum[:])[:10])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	programs := map[string]string{}
	for _, name := range services {
		programs[name] = filepath.Join(dir, name)
		if err := a.goBuild(ctx, true, programs[name], packageOf(name)); err != nil {
			return nil, fmt.Errorf("build %s: %w", name, err)
		}
	}
	return programs, nil
}

// goBuild compiles; only a program that speaks to Kafka needs C.
func (a *app) goBuild(ctx context.Context, cgo bool, output string, packages ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", output}, packages...)...)
	cmd.Dir = a.Root
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0")
	if cgo {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// keptBuilds is how many builds of a service stay: Nomad goes back to an earlier one
// when a new one does not become healthy.
const keptBuilds = 4

// installPrograms builds every program and puts it under apps/ with its content in its
// name, so that a version that runs, or that Nomad goes back to, is never overwritten.
// bin/<service> leads to the newest.
func (a *app) installPrograms(ctx context.Context) error {
	names, err := a.programNames()
	if err != nil {
		return err
	}
	programs, err := a.buildPrograms(ctx, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		digest, err := stack.HashFile(programs[name])
		if err != nil {
			return err
		}
		installed := filepath.Join("apps", name+"-"+digest[:12])
		if err := a.InstallFile(installed, programs[name]); err != nil {
			return fmt.Errorf("install %s: %w", name, err)
		}
		link := a.Path("bin", name)
		if have, err := os.Readlink(link); err != nil || have != a.Path(installed) {
			if err := errors.Join(ignoreMissing(os.Remove(link)), os.Symlink(a.Path(installed), link)); err != nil {
				return fmt.Errorf("install %s: %w", name, err)
			}
		}
		if err := a.removeOldBuilds(name, a.Path(installed)); err != nil {
			return err
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// removeOldBuilds keeps the newest builds of a service, by the time they were made.
func (a *app) removeOldBuilds(service, current string) error {
	builds, err := filepath.Glob(a.Path("apps", service+"-????????????"))
	if err != nil {
		return err
	}
	age := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	sort.Slice(builds, func(i, j int) bool { return age(builds[i]) > age(builds[j]) })
	for i, b := range builds {
		if i >= keptBuilds && b != current {
			if err := os.Remove(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// program is where a service's newest build is installed, and its release: the digest.
func (a *app) program(service string) (path, release string) {
	path, err := os.Readlink(a.Path("bin", service))
	if err != nil {
		return "", ""
	}
	return path, path[strings.LastIndex(path, "-")+1:]
}
