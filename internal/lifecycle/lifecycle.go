// Package lifecycle starts and ends a Souk program: what Nomad tells it, named
// clean-ups undone last in first out, and the admin port with health and metrics.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"souk/internal/logs"
	"souk/internal/metrics"
)

// Settings is what the Nomad job tells the program through its environment.
type Settings struct {
	Service  string // orders
	Env      string // SOUK_ENV: dev, staging, prod
	Instance string // NOMAD_ALLOC_ID
	Listen   string // NOMAD_ADDR_https or NOMAD_ADDR_http: host:port of the service; "" for one that serves no requests
	Admin    string // NOMAD_ADDR_admin: host:port of health and metrics
	StateDir string // NOMAD_ALLOC_DIR/data: outlives a restart of the task, and an update on the same node
	Version  string // SOUK_VERSION, or what the Go build says
}

// FromEnv reads the settings; the error names what is missing and how to run instead.
func FromEnv(service string) (Settings, error) {
	s := Settings{
		Service: service, Env: os.Getenv("SOUK_ENV"), Instance: os.Getenv("NOMAD_ALLOC_ID"),
		Listen: os.Getenv("NOMAD_ADDR_https"), Admin: os.Getenv("NOMAD_ADDR_admin"), Version: os.Getenv("SOUK_VERSION"),
	}
	if s.Listen == "" {
		s.Listen = os.Getenv("NOMAD_ADDR_http")
	}
	dir := os.Getenv("NOMAD_ALLOC_DIR")
	for _, need := range []struct{ name, value string }{
		{"SOUK_ENV", s.Env}, {"NOMAD_ALLOC_ID", s.Instance}, {"NOMAD_ALLOC_DIR", dir},
		{"NOMAD_ADDR_admin", s.Admin},
	} {
		if need.value == "" {
			return s, fmt.Errorf("%s is not set: run this as the Nomad job nomad/apps/%s.nomad.hcl", need.name, service)
		}
	}
	s.StateDir = filepath.Join(dir, "data")
	if s.Version == "" {
		s.Version = "dev"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
			s.Version = info.Main.Version
		}
	}
	return s, os.MkdirAll(s.StateDir, 0o700)
}

// ConfigKey is where the service's configuration is in Consul's KV store.
func (s Settings) ConfigKey() string { return "souk/" + s.Env + "/" + s.Service }

// StateFile is a file that outlives a restart of the task.
func (s Settings) StateFile(name string) string { return filepath.Join(s.StateDir, name) }

// cleanUpLimit bounds all clean-ups together; Nomad's kill_timeout is longer.
const cleanUpLimit = 10 * time.Second

// Process collects what must be undone at the end and what makes the program ready.
type Process struct {
	Settings
	Log      *slog.Logger
	LogLevel *logs.Level
	Metrics  *metrics.Registry

	mu       sync.Mutex
	cleanUps []named[func(context.Context) error]
	checks   []named[func() error]
	serving  bool
}

type named[F any] struct {
	name string
	do   F
}

// Start reads the settings and opens log and metrics of a program that is not ready yet.
func Start(service string, out io.Writer) (*Process, error) {
	s, err := FromEnv(service)
	if err != nil {
		return nil, err
	}
	level := new(logs.Level)
	return &Process{
		Settings: s, LogLevel: level, Metrics: metrics.New(s.Service, s.Version),
		Log: logs.New(out, s.Service, s.Version, s.Instance, s.Env, level),
	}, nil
}

// Defer registers a clean-up. Close calls them last in first out.
func (p *Process) Defer(name string, f func(context.Context) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanUps = append(p.cleanUps, named[func(context.Context) error]{name, f})
}

// Go runs f beside the serving. It is ended, and waited for, as a clean-up: what it
// uses must be registered before it.
func (p *Process) Go(ctx context.Context, name string, f func(context.Context)) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	p.Defer(name, func(limit context.Context) error {
		stop()
		select {
		case <-done:
			return nil
		case <-limit.Done():
			return errors.New("still at work")
		}
	})
}

// Check registers a condition of readiness: nil if it holds. Conditions are the
// program's own (credentials, certificate), not whether others answer: a database
// that is away must not take every instance out of the catalogue.
func (p *Process) Check(name string, f func() error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checks = append(p.checks, named[func() error]{name, f})
}

// Ready returns nil while the program serves and every check holds; else each
// reason, by name.
func (p *Process) Ready() error {
	p.mu.Lock()
	serving, checks := p.serving, slices.Clone(p.checks)
	p.mu.Unlock()
	if !serving {
		return errors.New("not serving: starting or stopping")
	}
	var problems []error
	for _, c := range checks {
		if err := c.do(); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return errors.Join(problems...)
}

// Listener opens the service's own port.
func (p *Process) Listener(ctx context.Context) (net.Listener, error) {
	if p.Listen == "" {
		return nil, fmt.Errorf("neither NOMAD_ADDR_https nor NOMAD_ADDR_http is set: run this as the Nomad job nomad/apps/%s.nomad.hcl", p.Service)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// Serve marks the program as serving while run works, and returns run's error.
// As soon as ctx ends the program is no longer ready, while run finishes what it has.
func (p *Process) Serve(ctx context.Context, run func(context.Context) error) error {
	p.setServing(true)
	defer context.AfterFunc(ctx, func() { p.setServing(false) })()
	defer p.setServing(false)
	p.Log.Info("serving", "server.address", p.Listen)
	if err := dropStartCode(); err != nil {
		p.Log.Debug("the code that only the start needed stays in memory", logs.Err(err))
	}
	return run(ctx)
}

func (p *Process) setServing(serving bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serving = serving
}

// Close undoes everything, last in first out, within a bounded time, and returns what
// failed, each with its name. A clean-up that panics does not stop the others.
func (p *Process) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
	defer cancel()
	p.mu.Lock()
	cleanUps := p.cleanUps
	p.cleanUps = nil
	p.mu.Unlock()
	var problems []error
	for _, c := range slices.Backward(cleanUps) {
		if err := attempt(ctx, c.do); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return errors.Join(problems...)
}

// attempt runs f, but waits no longer than ctx allows: some clients hang in Close.
func attempt(ctx context.Context, f func(context.Context) error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("panic: %v", r)
			}
		}()
		done <- f(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("not done in time")
	}
}

// OneLine makes an error fit one line of a terminal.
func OneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
