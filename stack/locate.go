package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Found is where a server's files are.
type Found struct {
	Server  Server
	Dir     string // folder with its programs, or its laid-out home
	Program string // path of its main program; empty for a Java server
	Version string
	OnPATH  bool // taken from PATH, not from the cache
}

// envOverride is the variable that names a server's program outright, e.g.
// SOUK_CONSUL=/opt/consul/bin/consul.
func envOverride(s Server) string {
	return "SOUK_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// onPATH looks for s on PATH. It returns nil when nothing there serves, with a
// notice when something was found whose version does not fit. A program that the
// user named by variable must fit: anything else is an error.
func onPATH(ctx context.Context, s Server) (found *Found, notice string, err error) {
	if len(s.PATH) == 0 {
		return nil, "", nil
	}
	override := os.Getenv(envOverride(s))
	for _, p := range s.PATH {
		path := override
		if path == "" {
			if path = lookPath(p.Program); path == "" {
				continue
			}
		}
		version, problem := probe(ctx, p, path)
		if problem == "" {
			return &Found{Server: s, Dir: filepath.Dir(path), Program: path, Version: version, OnPATH: true}, "", nil
		}
		notice = fmt.Sprintf("%s at %s %s", p.Program, path, problem)
		if override != "" {
			// The variable may name any of the programs that serve: tofu or terraform.
			err = fmt.Errorf("%s (named by %s): give one that fits, or unset %s and Souk builds its own",
				notice, envOverride(s), envOverride(s))
		}
	}
	if override != "" {
		return nil, "", err
	}
	if notice != "" {
		notice += fmt.Sprintf("; using Souk's own %s %s instead", s.Name, s.Version)
	}
	return nil, notice, nil
}

// lookPath is exec.LookPath, except that it passes over the bin/ of instances,
// which `souk env` puts on PATH: what lies there is souk's own choice of before.
func lookPath(program string) string {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(filepath.Clean(dir)), "instance.json")); err == nil && filepath.IsAbs(dir) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path
		}
	}
	return ""
}

// probe asks the program at path for its version. problem is empty if it fits.
func probe(ctx context.Context, p OnPATH, path string) (version, problem string) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, p.Args...).Output()
	if err != nil {
		return "", fmt.Sprintf("does not tell its version (%v); Souk needs %s", err, p.Wants)
	}
	m := p.Version.FindSubmatch(out)
	if m == nil {
		return "", fmt.Sprintf("does not tell its version; Souk needs %s", p.Wants)
	}
	version = string(m[1])
	if !p.Fits.MatchString(version) {
		return "", fmt.Sprintf("is version %s; Souk needs %s", version, p.Wants)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Sprintf("cannot be read: %v", err)
	}
	for _, beside := range p.With {
		if _, err := os.Stat(filepath.Join(filepath.Dir(real), beside)); err != nil {
			return "", fmt.Sprintf("lacks %s beside it", beside)
		}
	}
	return version, ""
}
