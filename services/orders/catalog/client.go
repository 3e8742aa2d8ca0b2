// Package catalog asks the catalogue for prices, over HTTP with mutual TLS.
package catalog

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"souk/internal/errs"
	"souk/internal/logs"
	"souk/services/orders/app"
)

const (
	// MaxSKUs is how many one request may name.
	MaxSKUs = 500
	// askLimit bounds one question, all instances together: who waits for the question under way and then for the next one
	// must still be answered within a request's time.
	askLimit = time.Second
	// spacing is between the beginnings of two questions. A question costs both sides nearly the same whether it is one
	// order's or ten's; one that comes alone doesn't wait.
	spacing = 10 * time.Millisecond
)

// Client is app.Prices. One question is under way at a time; whoever comes meanwhile is asked for together in the next one,
// so that the catalogue has the fewer questions per order the more orders there are. Nobody is answered by a question that
// began before theirs.
type Client struct {
	ctx       context.Context //nolint:containedctx // of the program: questions are nobody's alone
	instances func() []string
	http      *http.Client
	log       *slog.Logger
	turn      atomic.Uint64 // which instance is asked first

	mu      sync.Mutex
	working bool
	waiting []*question // in order; only the last may still take SKUs
}

// question is what several ask at once.
type question struct {
	skus        map[string]bool
	traceparent string // of the first who asked
	done        chan struct{}
	prices      map[string]app.Price // set before done is closed, as is err
	err         error
}

// New asks one of the instances (host:port) after the other, until ctx ends; tlsConfig is that of calls to catalog.
func New(ctx context.Context, instances func() []string, tlsConfig *tls.Config, log *slog.Logger) *Client {
	return &Client{ctx: ctx, instances: instances, log: log.With("component", "catalog"), http: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: tlsConfig, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second,
			DialContext: (&net.Dialer{Timeout: askLimit / 2}).DialContext, TLSHandshakeTimeout: askLimit / 2,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close gives up idle connections.
func (c *Client) Close(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// errAway is what clients are told; the log has the cause.
func errAway() *errs.Error {
	return errs.New(errs.Unavailable, "catalog-unavailable", "prices can't be checked at the moment; nothing was ordered; try again").After(2 * time.Second)
}

// Prices implements app.Prices, for at most MaxSKUs. It reads what the catalogue has after the call began.
func (c *Client) Prices(ctx context.Context, skus []string) (map[string]app.Price, error) {
	if len(skus) > MaxSKUs {
		return nil, errors.New("catalog: too many SKUs for one question")
	}
	q := c.join(ctx, skus)
	select {
	case <-q.done:
	case <-ctx.Done():
		return nil, errAway().Because(ctx.Err())
	}
	if q.err != nil {
		return nil, q.err
	}
	prices := make(map[string]app.Price, len(skus))
	for _, sku := range skus {
		if p, ok := q.prices[sku]; ok {
			prices[sku] = p
		}
	}
	return prices, nil
}

// join finds the question that will be asked next and has room, or makes one, and sees to its being asked.
func (c *Client) join(ctx context.Context, skus []string) *question {
	c.mu.Lock()
	defer c.mu.Unlock()
	var q *question
	if n := len(c.waiting); n > 0 && len(c.waiting[n-1].skus)+len(skus) <= MaxSKUs {
		q = c.waiting[n-1]
	} else {
		q = &question{skus: make(map[string]bool, len(skus)), done: make(chan struct{})}
		if trace, ok := logs.TraceFrom(ctx); ok {
			q.traceparent = trace.Traceparent()
		}
		c.waiting = append(c.waiting, q)
	}
	for _, sku := range skus {
		q.skus[sku] = true
	}
	if !c.working {
		c.working = true
		go c.work()
	}
	return q
}

// work asks until nobody waits. It ends with the program's context, as every question does then.
func (c *Client) work() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.working = false
			c.mu.Unlock()
			return
		}
		q := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		began := time.Now()
		q.prices, q.err = c.ask(q.traceparent, slices.Collect(maps.Keys(q.skus)))
		close(q.done)
		time.Sleep(time.Until(began.Add(spacing)))
	}
}

// ask tries each instance once, as long as there is no answer and time.
func (c *Client) ask(traceparent string, skus []string) (map[string]app.Price, error) {
	ctx, cancel := context.WithTimeout(c.ctx, askLimit)
	defer cancel()
	instances := c.instances()
	cause := errors.New("no instance is known")
	first := c.turn.Add(1)
	for i := range instances {
		// One that takes connections and does not answer must leave time for another.
		within := askLimit
		if i < len(instances)-1 {
			within = askLimit / 2
		}
		prices, err := c.askOne(ctx, within, instances[(first+uint64(i))%uint64(len(instances))], traceparent, skus)
		if err == nil {
			return prices, nil
		}
		if cause = err; ctx.Err() != nil {
			break
		}
	}
	c.log.Warn("the catalogue can't be asked for prices", logs.Err(cause))
	return nil, errAway().Because(cause)
}
