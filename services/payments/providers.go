package main

import (
	"context"
	"strings"

	"souk/internal/lifecycle"
	"souk/internal/postgres"
	"souk/services/payments/app"
	"souk/services/payments/provider/sandbox"
	"souk/services/payments/provider/stripe"
)

// Fields of secret/souk/payments in Vault.
const (
	sandboxWebhookSecret = "sandbox_webhook_secret"
	stripeAPIKey         = "stripe_api_key"
	stripeWebhookSecret  = "stripe_webhook_secret"
)

// openProviders makes those that the configuration names, and runs the sandbox. issuer is the shop's public URL.
func openProviders(ctx context.Context, p *lifecycle.Process, c *Config, pool *postgres.Pool, keys *secrets, issuer string) (all []app.Provider) {
	for _, name := range c.Providers {
		switch name {
		case sandbox.Name:
			bank := sandbox.New(pool, sandbox.Options{
				Log: p.Log, URL: strings.TrimSuffix(issuer, "/") + "/v1/provider-webhooks/" + sandbox.Name,
				Secrets: keys.all(sandboxWebhookSecret), Late: c.SandboxDelay,
			})
			p.Go(ctx, "sandbox", bank.Run)
			all = append(all, bank)
		case stripe.Name:
			all = append(all, stripe.New(stripe.Options{APIKey: keys.first(stripeAPIKey), WebhookSecrets: keys.all(stripeWebhookSecret)}))
		}
	}
	return all
}
