package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"souk/seed"
)

func seedCommand() *cobra.Command {
	var gateway string
	cmd := &cobra.Command{
		Use:   "seed",
		Short: "Put the example catalogue and its stock into the shop; what is there stays as it is",
		Long: `Put the example catalogue and its stock into the shop; what is there stays as it is.

For a shop that is not this instance's, SOUK_CLIENT_ID and SOUK_CLIENT_SECRET are those of an OAuth client
that may have the scopes catalog:write, inventory:read and inventory:write.`,
		Args: cobra.NoArgs,
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
		id, secret := os.Getenv("SOUK_CLIENT_ID"), os.Getenv("SOUK_CLIENT_SECRET")
		if id == "" || secret == "" {
			return seed.Result{}, errors.New("SOUK_CLIENT_ID and SOUK_CLIENT_SECRET are not set: another shop wants a client that may have catalog:write, inventory:read and inventory:write")
		}
		return applySeed(ctx, shopAsClient(ctx, gateway, id, secret))
	}
	a, err := runningApp()
	if err != nil {
		return seed.Result{}, err
	}
	return a.seed(ctx)
}

// seed fills this instance's shop. It may be called at any time.
func (a *app) seed(ctx context.Context) (seed.Result, error) {
	operator, err := a.shopAsOperator(ctx)
	if err != nil {
		return seed.Result{}, err
	}
	return applySeed(ctx, operator)
}

func applySeed(ctx context.Context, s shop) (seed.Result, error) {
	catalogue, err := seed.Load()
	if err != nil {
		return seed.Result{}, fmt.Errorf("the seed data: %w", err)
	}
	r, err := seed.Apply(ctx, seed.Client{BaseURL: s.url, HTTP: s.http}, catalogue, nil)
	if err != nil {
		return r, fmt.Errorf("seed the shop at %s: %w", s.url, err)
	}
	wait := time.Duration(0)
	if r.Created() > 0 {
		wait = time.Minute
	}
	if r.Stocked, err = seed.Stock(ctx, seed.Client{BaseURL: s.url, HTTP: s.http}, catalogue.Levels(), wait); err != nil {
		return r, fmt.Errorf("stock the shop at %s: %w", s.url, err)
	}
	return r, nil
}
