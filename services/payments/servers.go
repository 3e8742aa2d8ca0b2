package main

import (
	"context"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"souk/internal/discovery"
	"souk/internal/identity"
	"souk/internal/lifecycle"
	"souk/internal/postgres"
)

// openPool connects to PostgreSQL with credentials of this service's own, wherever it is at the moment.
func openPool(ctx context.Context, p *lifecycle.Process, id *identity.Identity, consul *consulapi.Client, connections int32) (*postgres.Pool, error) {
	creds, err := id.Database(ctx, p.Service)
	if err != nil {
		return nil, err
	}
	servers, err := discovery.Watch(ctx, consul, "postgres", discovery.Options{StateDir: p.StateDir, Log: p.Log})
	if err != nil {
		return nil, err
	}
	pool, err := postgres.Open(ctx, creds, servers.Address, p.Service, postgres.Options{Log: p.Log, MaxConns: connections})
	if err != nil {
		return nil, err
	}
	p.Defer("postgres", pool.Close)
	p.Metrics.MustRegister(pool.Metrics())
	return pool, nil
}

// brokers finds Kafka before each connection.
func brokers(p *lifecycle.Process, consul *consulapi.Client) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		return discovery.Resolve(ctx, consul, "kafka", discovery.Options{StateDir: p.StateDir, Log: p.Log, Patience: 10 * time.Second})
	}
}
