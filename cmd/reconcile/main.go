// Command reconcile compares the books of orders, inventory and payments, order by order, and says where they differ.
// It changes nothing. Nomad runs it every night, and `souk reconcile` at any time.
//
// It exits with 0 if the books agree, 1 if they don't, and 2 if it could not compare them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"souk/internal/discovery"
	"souk/internal/identity"
	"souk/internal/lifecycle"
	"souk/internal/logs"
)

// name is that of the Nomad job, of its identity and of its policies.
const name = "reconcile"

// runLimit keeps a run that hangs from still being there the next night.
const runLimit = 2 * time.Hour

const (
	agrees = iota
	differs
	failed
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := run(ctx)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "reconcile:", lifecycle.OneLine(err))
		os.Exit(failed)
	case report.Differences > 0:
		os.Exit(differs)
	}
	os.Exit(agrees)
}

// settings is what Nomad tells the task.
type settings struct {
	alloc, environment, version string
	dir                         string // the allocation's data directory: where the report goes
}

func readSettings() (settings, error) {
	s := settings{
		alloc: os.Getenv("NOMAD_ALLOC_ID"), environment: os.Getenv("SOUK_ENV"),
		version: os.Getenv("SOUK_VERSION"), dir: os.Getenv("NOMAD_ALLOC_DIR"),
	}
	for _, need := range []struct{ name, value string }{{"NOMAD_ALLOC_ID", s.alloc}, {"NOMAD_ALLOC_DIR", s.dir}, {"SOUK_ENV", s.environment}} {
		if need.value == "" {
			return s, fmt.Errorf("%s is not set: run this as the Nomad job nomad/batch/reconcile.nomad.hcl (`souk reconcile` does)", need.name)
		}
	}
	s.dir = filepath.Join(s.dir, "data")
	return s, os.MkdirAll(s.dir, 0o755)
}

func run(ctx context.Context) (report *Report, err error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	s, err := readSettings()
	if err != nil {
		return nil, err
	}
	log := logs.New(os.Stdout, name, s.version, s.alloc, s.environment, slog.LevelInfo)
	consul, err := discovery.Connect()
	if err != nil {
		return nil, err
	}
	id, err := identity.Login(ctx, identity.FromEnv(name), log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, leave(id)) }()
	cert, err := id.Certificate(ctx)
	if err != nil {
		return nil, err
	}
	find := func(name string) func(context.Context) ([]string, error) {
		return func(ctx context.Context) ([]string, error) {
			return discovery.Resolve(ctx, consul, name, discovery.Options{Log: log})
		}
	}
	ask := func(name string) *service {
		return newService(name, find(name), cert.ClientTLS(name))
	}
	report, err = reconcile(ctx, books{orders: ask("orders"), inventory: ask("inventory"), payments: ask("payments")}, time.Now())
	if err != nil {
		return nil, err
	}
	report.Environment = s.environment
	report.log(ctx, log)
	return report, report.write(s.dir)
}

// leave gives up the Vault token, also when the run was interrupted.
func leave(id *identity.Identity) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return id.Close(ctx)
}
