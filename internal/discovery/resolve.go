package discovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	consulapi "github.com/hashicorp/consul/api"
)

// ErrNoInstance says that Consul answered and knows no passing instance.
var ErrNoInstance = errors.New("no passing instance in Consul")

// Resolve asks once for the addresses (host:port) of a service's passing instances,
// sorted by instance ID. If Consul does not answer, the last good list in StateDir
// serves. With Options.Patience it asks again for that long while there is neither.
func Resolve(ctx context.Context, client *consulapi.Client, service string, opts Options) ([]string, error) {
	if err := CheckName(service); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	kept := savedIn(opts.StateDir, service)
	deadline := time.Now().Add(opts.Patience)
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	for {
		list, err := once(ctx, client, service, opts.First)
		if err == nil && len(list) > 0 {
			if err := kept.store(list); err != nil {
				opts.Log.Error("the instances could not be kept for a start without Consul", "service.target.name", service, "error", err)
			}
			return addresses(list), nil
		}
		if err == nil {
			err = ErrNoInstance
		} else if list, confirmed, _ := kept.load(); len(list) > 0 {
			opts.Log.Warn("Consul does not answer, the last good list serves", "service.target.name", service, "age", time.Since(confirmed).Round(time.Second).String(), "error", err)
			return addresses(list), nil
		}
		next := pause.NextBackOff()
		if time.Now().Add(next).After(deadline) {
			return nil, fmt.Errorf("find %s: %w", service, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("find %s: %w (%w)", service, err, ctx.Err())
		case <-time.After(next):
		}
	}
}

func once(ctx context.Context, client *consulapi.Client, service string, limit time.Duration) ([]Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	list, _, err := passing(ctx, client, service, &consulapi.QueryOptions{})
	return list, err
}

func addresses(list []Instance) []string {
	out := make([]string, len(list))
	for i, in := range list {
		out[i] = in.Address
	}
	return out
}
