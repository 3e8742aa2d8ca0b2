package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	consulapi "github.com/hashicorp/consul/api"
)

// Registration is an instance that registers itself. Under Nomad the job's service block
// does that; this is for programs and tests outside of it.
type Registration struct {
	Service string
	ID      string // unique on its agent; empty: service and address
	Address string // host:port where others reach it
	Tags    []string
	Meta    map[string]string
	Weight  int // Consul's Weights.Passing; 0 stands for 1
	// TTL is how long it counts as passing after the program last said so; Consul removes
	// it a minute (its least) after that. Default 15 s.
	TTL time.Duration
}

const checkPrefix = "alive:"

// Register puts the instance into the local agent's catalogue as passing, and keeps it
// there until ctx ends or the returned function is called, which takes it out. An
// agent that forgot it gets it again.
func Register(ctx context.Context, client *consulapi.Client, r Registration, opts Options) (deregister func(context.Context) error, err error) {
	if err := CheckName(r.Service); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(r.Address)
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", r.Service, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("register %s: the port of %s is not a number", r.Service, r.Address)
	}
	if r.ID == "" {
		r.ID = r.Service + "-" + r.Address
	}
	if r.TTL == 0 {
		r.TTL = 15 * time.Second
	}
	opts = opts.withDefaults()
	weight := max(r.Weight, 1)
	entry := &consulapi.AgentServiceRegistration{
		ID: r.ID, Name: r.Service, Address: host, Port: number, Tags: r.Tags, Meta: r.Meta,
		Weights: &consulapi.AgentWeights{Passing: weight, Warning: 1},
		Check: &consulapi.AgentServiceCheck{
			CheckID: checkPrefix + r.ID, Name: "alive", TTL: r.TTL.String(), Status: consulapi.HealthPassing,
			DeregisterCriticalServiceAfter: "1m",
		},
	}
	register := func(ctx context.Context) error {
		return client.Agent().ServiceRegisterOpts(entry, consulapi.ServiceRegisterOpts{}.WithContext(ctx))
	}
	if err := register(ctx); err != nil {
		return nil, fmt.Errorf("register %s: %w", r.Service, err)
	}

	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		keepPassing(ctx, client, r, register, opts)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		ended <- client.Agent().ServiceDeregisterOpts(r.ID, (&consulapi.QueryOptions{}).WithContext(last))
	}()
	return func(wait context.Context) error {
		cancel()
		select {
		case err := <-ended:
			ended <- err // for whoever asks again
			return err
		case <-wait.Done():
			return fmt.Errorf("deregister %s: %w", r.ID, wait.Err())
		}
	}, nil
}

// keepPassing renews the check three times within its TTL.
func keepPassing(ctx context.Context, client *consulapi.Client, r Registration, register func(context.Context) error, opts Options) {
	tick := time.NewTicker(r.TTL / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		short, cancel := context.WithTimeout(ctx, r.TTL/3)
		err := client.Agent().UpdateTTLOpts(checkPrefix+r.ID, "", consulapi.HealthPassing, (&consulapi.QueryOptions{}).WithContext(short))
		if unknown := (consulapi.StatusError{}); errors.As(err, &unknown) && unknown.Code == 404 {
			err = register(short)
		}
		cancel()
		if err != nil && ctx.Err() == nil {
			opts.Log.Warn("the registration could not be renewed", "service.target.name", r.Service, "error", err)
		}
	}
}
