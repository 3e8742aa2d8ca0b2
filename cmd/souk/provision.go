package main

import (
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
				if err := a.stopJobs(cmd.Context()); err != nil {
					return err
				}
				a.say("stopped the jobs: Nomad keeps a namespace in which any runs; `make up` brings them back")
			}
			return t.Interactive(cmd.Context(), append([]string{verb}, args...)...)
		},
	}
}
