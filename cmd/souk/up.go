package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"souk/internal/hashistack"
	"souk/internal/instance"
	"souk/stack"
)

// infraJobs are the servers that Nomad runs, in namespace infra.
var infraJobs = []string{"postgres", "kafka", "mongo", "elasticsearch", "prometheus"}

// homeSpace is the free disk that a running instance needs, in bytes.
const homeSpace = 2 << 30

func upCommand() *cobra.Command {
	var serversOnly bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring everything up, or repair what is missing; safe at any time",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := newApp(os.Stdout)
			if err != nil {
				return err
			}
			return a.up(cmd.Context(), serversOnly)
		},
	}
	cmd.Flags().BoolVar(&serversOnly, "servers", false, "only the servers: neither services nor gateway")
	return cmd
}

func (a *app) up(ctx context.Context, serversOnly bool) (err error) {
	started := time.Now()
	// Nothing is written before the machine is known to serve.
	if c := stack.GoCheck(ctx); c.Problem != "" {
		return errors.New(c.Problem)
	}
	unlock, err := a.Lock(ctx, func() { a.say("another souk is at work on %s, waiting for it", a.Home) })
	if err != nil {
		return err
	}
	defer unlock()
	if taken := a.TakenPorts(); len(taken) > 0 {
		return taken[0]
	}
	if err := stack.RequireSpace(a.Home, homeSpace, "for the data of an instance"); err != nil {
		return err
	}
	a.say("Souk in %s", a.Home)
	if err := a.locate(ctx); err != nil {
		return err
	}
	located := time.Now()
	if err := a.Prepare(); err != nil {
		return err
	}
	if err := a.install(ctx); err != nil {
		return err
	}

	fresh := true
	for _, name := range hashistack.Agents {
		fresh = fresh && a.PID(name) == 0
	}
	defer func() {
		// Interrupted half way, it leaves what it found: nothing.
		if err != nil && ctx.Err() != nil && fresh {
			a.say("interrupted: stopping what was started")
			err = errors.Join(err, a.stop(context.WithoutCancel(ctx)))
		}
	}()
	// The services are compiled while the servers start.
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.upServers(gctx) })
	if !serversOnly {
		g.Go(func() error { return a.installPrograms(gctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if !serversOnly {
		if err := a.upApps(ctx); err != nil {
			return err
		}
	}
	a.say("Souk is up after %s (%s of it for building and fetching)", round(time.Since(started)), round(located.Sub(started)))
	a.say("  bin/souk status              what runs, where, and how it is")
	a.say("  eval \"$(bin/souk env)\"       then consul, vault, nomad and %s speak to it", filepath.Base(a.terraformProgram()))
	if !serversOnly {
		a.say("Try it:")
		a.say("  curl '%s/v1/products?category=%s&limit=3'", a.gatewayURL(), tryCategory)
		a.say("  bin/souk demo                a customer buys, is declined, cancels and is paid back")
		a.say("  curl -H \"Authorization: Bearer $(bin/souk token customer)\" %s/v1/users/me", a.gatewayURL())
		a.say("  open %s/docs/       the API, to read and to try", a.gatewayURL())
	}
	return nil
}

// tryCategory is a category of the seeded shop.
const tryCategory = "coffee-tea"

// upServers starts the agents, provisions them and runs the servers on Nomad.
func (a *app) upServers(ctx context.Context) error {
	if err := a.hashistack().Up(ctx, a.did); err != nil {
		return err
	}
	if err := a.applyTerraform(ctx); err != nil {
		return err
	}
	return a.runInfra(ctx)
}

func (a *app) did(what string) { a.say("  %s", what) }

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

func (a *app) applyTerraform(ctx context.Context) error {
	t, err := a.terraform()
	if err != nil {
		return err
	}
	unlock, err := t.Prepare(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	changed, err := t.Apply(ctx)
	if changed && err == nil {
		a.did("provisioned Vault, Consul and Nomad from terraform/dev")
	}
	return err
}

// runInfra submits the infra jobs that differ from their files and waits for all.
func (a *app) runInfra(ctx context.Context) error {
	d, err := a.deployer()
	if err != nil {
		return err
	}
	for _, job := range infraJobs {
		changed, err := d.Run(ctx, filepath.Join(a.Root, "nomad", "infra", job+".nomad.hcl"))
		if err != nil {
			return err
		}
		if changed {
			a.did("submitted job " + job)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, job := range infraJobs {
		g.Go(func() error {
			since := time.Now()
			if err := d.Await(ctx, "infra", job, 4*time.Minute); err != nil {
				return err
			}
			if took := time.Since(since); took > time.Second {
				a.did(fmt.Sprintf("%s is healthy (%s)", job, round(took)))
			}
			return nil
		})
	}
	return g.Wait()
}

func downCommand() *cobra.Command {
	var clean bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop everything; the data stays, unless --clean",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := newAppForDown(clean)
			if err != nil {
				return err
			}
			unlock, err := a.Lock(cmd.Context(), func() { a.say("another souk is at work on %s, waiting for it", a.Home) })
			if err != nil {
				return err
			}
			defer unlock()
			if err := a.stop(cmd.Context()); err != nil {
				return err
			}
			if !clean {
				a.say("Souk is down; its data stays in %s", a.Home)
				return nil
			}
			if err := a.Wipe(); err != nil {
				return fmt.Errorf("wipe %s: %w", a.Home, err)
			}
			a.say("Souk is down and %s is gone", a.Home)
			return a.RemoveLock()
		},
	}
	cmd.Flags().BoolVar(&clean, "clean", false, "also remove all data and secrets")
	return cmd
}

// newAppForDown opens the instance even if its home is broken, when it is to be wiped.
func newAppForDown(clean bool) (*app, error) {
	a, err := newApp(os.Stdout)
	if err != nil && clean {
		if in, openErr := instance.OpenBroken(); openErr == nil {
			return &app{Instance: in, out: os.Stdout}, nil
		}
	}
	return a, err
}

// stop ends the jobs, then the agents, then whatever of this instance is left.
func (a *app) stop(ctx context.Context) error {
	if a.PID("nomad-server") != 0 && a.PID("nomad-client") != 0 {
		if err := a.stopJobs(ctx); err != nil {
			a.say("the jobs could not be stopped through Nomad (%v); ending their processes", err)
		}
	}
	for i := len(hashistack.Agents) - 1; i >= 0; i-- {
		if err := a.StopAgent(ctx, hashistack.Agents[i]); err != nil {
			return err
		}
	}
	left, err := a.EndProcesses(ctx)
	if err != nil {
		return fmt.Errorf("end what is left: %w", err)
	}
	if left > 0 {
		a.say("ended %d processes that were left over", left)
	}
	return errors.Join(a.Unmount(), a.ClearSockets())
}

// stopLimit is longer than any job may take to stop (kill_timeout).
const stopLimit = 90 * time.Second

// stopJobs stops Souk's own jobs first, as they use the others.
func (a *app) stopJobs(ctx context.Context) error {
	d, err := a.deployer()
	if err != nil {
		return err
	}
	for _, namespace := range []string{"souk", "*"} {
		if err := d.StopAll(ctx, namespace, stopLimit); err != nil {
			return err
		}
	}
	return nil
}
