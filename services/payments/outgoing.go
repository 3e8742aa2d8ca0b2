package main

import (
	"context"

	"souk/contracts"
	"souk/internal/config"
	"souk/internal/identity"
	"souk/internal/inbox"
	"souk/internal/lifecycle"
	"souk/internal/postgres"
	"souk/services/payments/app"
	"souk/services/payments/store"
	"souk/services/payments/webhooks"
)

// openWebhooks runs the outgoing webhooks, and gives the use cases of their endpoints.
func openWebhooks(ctx context.Context, p *lifecycle.Process, conf *config.Live[Config], pool *postgres.Pool, id *identity.Identity,
	brokers func(context.Context) ([]string, error)) (*app.Webhooks, error) {
	settings := func() webhooks.Settings { return conf.Get().Webhooks }
	guard, err := webhooks.NewGuard(settings())
	if err != nil {
		return nil, err
	}
	keys, err := webhooks.NewSecrets(id.Vault())
	if err != nil {
		return nil, err
	}
	hooks := store.NewWebhooks(pool)
	subscriptions := webhooks.NewSubscriptions(hooks, p.Log)
	p.Go(ctx, "webhook subscriptions", subscriptions.Run)
	sender := webhooks.NewSender(hooks, subscriptions, keys, webhooks.NewClient(guard, nil), settings, p.Log)
	p.Metrics.MustRegister(sender.Metrics()...)
	p.Go(ctx, "webhooks", sender.Run)
	p.Go(ctx, "webhook tidying", sender.Sweep)
	p.Go(ctx, "webhook events", func(ctx context.Context) {
		inbox.Run(ctx, pool, inbox.Options{
			Group: webhooks.Group, Topics: webhooks.Topics(), Create: contracts.Consumed(p.Env, webhooks.Topics()...),
			HandleAll: webhooks.Handler(subscriptions, hooks), Wants: subscriptions.Wanted, Brokers: brokers, Log: p.Log, Metrics: p.Metrics,
		})
	})
	rules := func() app.WebhookRules {
		return app.WebhookRules{AllowHTTP: settings().AllowHTTP, Address: guard.Address}
	}
	return app.NewWebhooks(hooks, keys, rules, subscriptions.Changed), nil
}
