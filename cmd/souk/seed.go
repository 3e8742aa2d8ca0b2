package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"souk/seed"
)

func seedCommand() *cobra.Command {
	var gateway string
	cmd := &cobra.Command{
		Use:   "seed",
		Short: "Put the example catalogue into the shop; what is there stays as it is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := seedInto(cmd.Context(), gateway)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), r)
			return err
		},
	}
	cmd.Flags().StringVar(&gateway, "gateway", "", "URL of the gateway (default: that of this instance)")
	return cmd
}

// seedInto seeds the shop behind a gateway; "" is this instance's.
func seedInto(ctx context.Context, gateway string) (seed.Result, error) {
	if gateway != "" {
		return applySeed(ctx, gateway)
	}
	a, err := newApp(os.Stdout)
	if err != nil {
		return seed.Result{}, err
	}
	if a.PID("nomad-client") == 0 {
		return seed.Result{}, errors.New("nothing is running: `make up` starts it")
	}
	return a.seed(ctx)
}

// seed fills this instance's shop. It may be called at any time.
func (a *app) seed(ctx context.Context) (seed.Result, error) {
	return applySeed(ctx, a.gatewayURL())
}

func applySeed(ctx context.Context, gateway string) (seed.Result, error) {
	catalogue, err := seed.Load()
	if err != nil {
		return seed.Result{}, fmt.Errorf("the seed data: %w", err)
	}
	r, err := seed.Apply(ctx, seed.Client{BaseURL: gateway}, catalogue, nil)
	if err != nil {
		return r, fmt.Errorf("seed the shop at %s: %w", gateway, err)
	}
	return r, nil
}
