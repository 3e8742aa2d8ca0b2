package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// terraformCommand is `souk plan|apply|destroy`: the tool itself, on this instance.
func terraformCommand(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " [flags of tofu]",
		Short: short,
		// Flags are the tool's own: -auto-approve, -target, -detailed-exitcode ...
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := newApp(os.Stderr)
			if err != nil {
				return err
			}
			if a.PID("vault") == 0 {
				return fmt.Errorf("nothing is up in %s: run `make up` first", a.Home)
			}
			unlock, err := a.Lock(cmd.Context(), func() { a.say("another souk is at work on %s, waiting for it", a.Home) })
			if err != nil {
				return err
			}
			defer unlock()
			if err := a.locate(cmd.Context()); err != nil {
				return err
			}
			t, err := a.terraform()
			if err != nil {
				return err
			}
			release, err := t.Prepare(cmd.Context())
			if err != nil {
				return err
			}
			defer release()
			if verb == "destroy" {
				if err := a.prepareDestroy(cmd.Context()); err != nil {
					return err
				}
				a.say("stopped the jobs: Nomad keeps a namespace in which any runs; `make up` brings them back")
			}
			return t.Interactive(cmd.Context(), append([]string{verb}, args...)...)
		},
	}
}

// prepareDestroy ends what would hold on to the objects: Nomad keeps a namespace
// in which a job runs, and Vault a mount whose leases it can't revoke, for which
// it needs PostgreSQL.
func (a *app) prepareDestroy(ctx context.Context) error {
	d, err := a.deployer()
	if err != nil {
		return err
	}
	if err := d.StopAll(ctx, "souk", stopLimit); err != nil {
		return err
	}
	vault, err := a.hashistack().Vault()
	if err != nil {
		return err
	}
	if err := vault.Sys().RevokePrefixWithContext(ctx, "database/creds"); err != nil {
		// PostgreSQL is down: Vault is to forget the users, which expire by themselves.
		a.say("PostgreSQL's users could not be removed (%v)", err)
		if err := vault.Sys().RevokeForceWithContext(ctx, "database/creds"); err != nil {
			return fmt.Errorf("revoke the leases of PostgreSQL users: %w", err)
		}
	}
	return d.StopAll(ctx, "*", stopLimit)
}
