package webhooks

import (
	"context"
	"net/http"
	"time"

	"souk/internal/logs"
	"souk/services/payments/app"
)

// deliver makes one attempt and stores what became of it. When ctx ends, what has begun may still end well.
func (s *Sender) deliver(ctx context.Context, c app.WebhookClaim) {
	storing := context.WithoutCancel(ctx)
	sending, cancel := context.WithTimeout(storing, s.settings().Timeout)
	defer cancel()
	last := context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, cancel) })
	defer last()
	log := s.log.With("webhook.endpoint", c.Endpoint.String(), "webhook.id", c.ID.String())
	if t, ok := logs.ParseTraceparent(c.Traceparent); ok {
		storing = logs.WithTrace(storing, t.Child())
	}

	secrets := make([]string, 0, len(c.Secrets))
	for _, sealed := range c.Secrets {
		secret, err := s.secrets.open(sending, c.Endpoint, sealed)
		if err != nil {
			log.WarnContext(storing, "a webhook waits, as its secret can't be read", logs.Err(err))
			s.keep(storing, log, func(ctx context.Context) error { return s.store.ReleaseWebhook(ctx, c, withoutVault) })
			return
		}
		secrets = append(secrets, secret)
	}
	at := time.Now()
	header, err := sign(c.ID, at, c.Body, secrets)
	if err != nil || len(secrets) == 0 { // an endpoint that is just being deleted has none
		log.WarnContext(storing, "a webhook waits, as it can't be signed", logs.Err(err))
		s.keep(storing, log, func(ctx context.Context) error { return s.store.ReleaseWebhook(ctx, c, withoutVault) })
		return
	}
	a := s.client.post(sending, c.URL, header, c.Body)
	o := outcome(a, c.Attempts)
	o.At, o.Duration = at.UTC().Truncate(time.Millisecond), time.Since(at)
	s.metrics.attempt(o)
	s.keep(storing, log, func(ctx context.Context) error {
		held, err := s.store.SettleWebhook(ctx, c, o)
		if err == nil && !held {
			log.WarnContext(ctx, "another instance has the webhook by now")
		}
		return err
	})
	switch {
	case o.Gone:
		log.WarnContext(storing, "a webhook endpoint is gone, and disabled")
	case o.Problem != "" && !o.Again:
		log.WarnContext(storing, "a webhook is given up", "error.code", o.Problem)
	}
}

// outcome judges an answer to the attempt of this number.
func outcome(a answer, attempts int) app.WebhookOutcome {
	o := app.WebhookOutcome{StatusCode: a.status, Problem: a.problem}
	switch {
	case a.problem == "":
	case a.problem == problemInterrupted:
		o.Interrupted, o.Again = true, true
	case a.status == http.StatusGone:
		o.Gone = true
	default:
		o.Wait, o.Again = app.WebhookRetry(attempts, a.retryAfter)
	}
	return o
}

// keep stores, with patience. What can't be stored is sent again when the lease ends.
func (s *Sender) keep(ctx context.Context, log interface {
	WarnContext(ctx context.Context, msg string, args ...any)
}, store func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := store(ctx); err != nil {
		log.WarnContext(ctx, "what became of a webhook can't be stored; it will be sent again", logs.Err(err))
	}
}
