package main

import (
	"context"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"souk/contracts"
	"souk/internal/discovery"
	"souk/internal/identity"
	"souk/internal/inbox"
	"souk/internal/lifecycle"
	"souk/internal/outbox"
	"souk/internal/postgres"
	"souk/services/inventory/events"
	"souk/services/inventory/store"
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

// publishing is how the outbox reaches Kafka.
func publishing(p *lifecycle.Process, consul *consulapi.Client) outbox.Options {
	return outbox.Options{
		Service: p.Service, Topics: contracts.Topics(p.Env, p.Service), Brokers: brokers(p, consul), Log: p.Log, Metrics: p.Metrics,
	}
}

// consuming is how commands and products come to the store.
func consuming(p *lifecycle.Process, consul *consulapi.Client, st *store.Store, batch int) inbox.Options {
	topics := []string{events.CommandsTopic, events.ProductsTopic}
	return inbox.Options{
		Group: events.Group, Topics: topics, Create: contracts.Consumed(p.Env, topics...), HandleAll: events.Handler(st), Batch: batch,
		Brokers: brokers(p, consul), Log: p.Log, Metrics: p.Metrics,
	}
}
