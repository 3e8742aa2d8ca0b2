// Package sandbox is a payment provider for development and tests: a bank with books of its own, kept apart from the
// service's, in which a double charge would show. What it does depends on the payment method alone.
package sandbox

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"souk/internal/postgres"
	"souk/services/payments/app"
)

// Name is the provider's.
const Name = "sandbox"

// Payment methods. Any other is declined as unknown.
const (
	Approve           = "pm_sandbox_approve"
	Decline           = "pm_sandbox_decline"
	InsufficientFunds = "pm_sandbox_insufficient_funds"
	Timeout           = "pm_sandbox_timeout"       // it authorises, and never says so
	LateWebhook       = "pm_sandbox_late_webhook"  // "processing"; a webhook follows
	ErrorOnce         = "pm_sandbox_error_once"    // the first call fails, the next does it
	CaptureFails      = "pm_sandbox_capture_fails" // is authorised, and can't be captured
)

// Options of a Bank.
type Options struct {
	Log *slog.Logger
	// URL is where webhooks are sent to: the public one of /v1/provider-webhooks/sandbox.
	URL string
	// Secrets sign webhooks: the first signs, each is good. Without one, webhooks are neither sent nor believed.
	Secrets func() []string
	Late    time.Duration // after which a webhook follows "processing"; 2 s if zero
	Client  *http.Client  // default: one with a timeout of 5 s
}

// Bank is the sandbox. It implements app.Provider; Run must run.
type Bank struct {
	Options
	pool  *postgres.Pool
	calls chan *call
	late  chan struct{} // something is to be notified
}

// New makes a bank whose books are in the database of pool.
func New(pool *postgres.Pool, o Options) *Bank {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Late == 0 {
		o.Late = 2 * time.Second
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 5 * time.Second}
	}
	if o.Secrets == nil {
		o.Secrets = func() []string { return nil }
	}
	return &Bank{Options: o, pool: pool, calls: make(chan *call), late: make(chan struct{}, 1)}
}

// Name implements app.Provider.
func (b *Bank) Name() string { return Name }

// call of a client, that waits for the books.
type call struct {
	kind    app.Kind
	lookup  bool
	request app.Request
	result  app.Result
	err     error
	done    chan struct{}
}

// errFault is what an unlucky call gets.
var errFault = errors.New("sandbox: internal server error")

// Authorise implements app.Provider.
func (b *Bank) Authorise(ctx context.Context, r app.Request) (app.Result, error) {
	return b.do(ctx, &call{kind: app.OpAuthorise, request: r})
}

// Capture implements app.Provider.
func (b *Bank) Capture(ctx context.Context, r app.Request) (app.Result, error) {
	return b.do(ctx, &call{kind: app.OpCapture, request: r})
}

// Void implements app.Provider.
func (b *Bank) Void(ctx context.Context, r app.Request) (app.Result, error) {
	return b.do(ctx, &call{kind: app.OpVoid, request: r})
}

// Refund implements app.Provider.
func (b *Bank) Refund(ctx context.Context, r app.Request) (app.Result, error) {
	return b.do(ctx, &call{kind: app.OpRefund, request: r})
}

// Lookup implements app.Provider.
func (b *Bank) Lookup(ctx context.Context, kind app.Kind, r app.Request) (app.Result, error) {
	return b.do(ctx, &call{kind: kind, lookup: true, request: r})
}

// do waits until the call is in the books, or until ctx ends: then it may be in the books all the same.
func (b *Bank) do(ctx context.Context, c *call) (app.Result, error) {
	c.done = make(chan struct{})
	select {
	case b.calls <- c:
	case <-ctx.Done():
		return app.Result{}, ctx.Err()
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return app.Result{}, ctx.Err()
	}
	if c.err == nil && c.kind == app.OpAuthorise && c.request.Method == Timeout {
		<-ctx.Done()
		return app.Result{}, ctx.Err()
	}
	if c.result.Outcome == app.Processing {
		select {
		case b.late <- struct{}{}:
		default:
		}
	}
	return c.result, c.err
}

// Totals implements app.Provider.
func (b *Bank) Totals(ctx context.Context, payments []app.Request) ([]app.Totals, error) {
	ids := make([]uuid.UUID, len(payments))
	for i, p := range payments {
		ids[i] = p.IntentID
	}
	books, err := b.read(ctx, ids)
	if err != nil {
		return nil, err
	}
	totals := make([]app.Totals, len(payments))
	for i, id := range ids {
		p := books[id]
		totals[i] = app.Totals{Captured: p.captured, Refunded: p.refunded, Held: p.held(), Known: true}
	}
	return totals, nil
}
