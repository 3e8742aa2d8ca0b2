package main

import (
	"context"
	"time"

	"souk/contracts"
	"souk/internal/config"
	"souk/internal/inbox"
	"souk/internal/lifecycle"
	"souk/internal/outbox"
	"souk/internal/postgres"
	"souk/services/orders/app"
	"souk/services/orders/events"
	"souk/services/orders/store"
)

// background is what goes on beside requests.
type background struct {
	p         *lifecycle.Process
	store     *store.Store
	pool      *postgres.Pool
	conf      *config.Live[Config]
	followers *app.Followers
	brokers   func(context.Context) ([]string, error)
}

func (b background) start(ctx context.Context) {
	b.p.Go(ctx, "tidying", b.store.Tidy)
	b.p.Go(ctx, "followers", b.followers.Run)
	b.p.Go(ctx, "rebuilding", b.store.Rebuild)
	b.p.Go(ctx, "deadlines", func(ctx context.Context) {
		b.store.WatchDeadlines(ctx, func() time.Duration { return b.conf.Get().Deadlines.Look }, deadlines(b.conf))
	})
	b.p.Go(ctx, "outbox", func(ctx context.Context) {
		outbox.Relay(ctx, b.pool, outbox.Options{Service: b.p.Service, Topics: contracts.Topics(b.p.Env, b.p.Service), Brokers: b.brokers, Log: b.p.Log, Metrics: b.p.Metrics})
	})
	replies := b.consuming(events.Group, events.Topics()...)
	replies.HandleAll, replies.Batch = events.Handler(b.store, deadlines(b.conf)), b.conf.Get().Batch
	b.p.Go(ctx, "replies", func(ctx context.Context) { inbox.Run(ctx, b.pool, replies) })
	prices := b.consuming(events.CatalogGroup, events.ProductsTopic)
	prices.HandleAll = events.Products(b.store)
	b.p.Go(ctx, "prices", func(ctx context.Context) { inbox.Run(ctx, b.pool, prices) })
}

// consuming is how events come here.
func (b background) consuming(group string, topics ...string) inbox.Options {
	return inbox.Options{
		Group: group, Topics: topics, Create: contracts.Consumed(b.p.Env, topics...), Brokers: b.brokers, Log: b.p.Log, Metrics: b.p.Metrics,
	}
}

// deadlines in force at each use.
func deadlines(conf *config.Live[Config]) func() app.Deadlines {
	return func() app.Deadlines { return conf.Get().Deadlines.app() }
}
