package main

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/tokens"
	"souk/internal/web"
)

// recheckEvery is how soon an open stream notices that its token was revoked.
const recheckEvery = 2 * time.Second

// stream passes an answer on that goes on. x is the stream's from here on, also if it is refused.
func (g *gateway) stream(c *fiber.Ctx, x *proxied, r *route) error {
	limits, e := g.config.Load().Streams, x.events
	limit, token, owner := limits.MaxTime, "", "address/"+web.ClientIP(c).String()
	if p := tokens.Of(c); p != nil && !r.public {
		limit = min(limit, time.Until(p.Expires))
		owner = p.Key()
		_, token, _ = strings.Cut(string(x.req.Header.Peek(fiber.HeaderAuthorization)), " ")
	}
	e.idle = limits.IdleTimeout
	if !g.open.add(e, owner, strings.TrimSpace(token), limits.Each) {
		e.closed = func(string) { x.release() }
		_ = e.Close() // nothing was read
		return errs.New(errs.TooMany, "too-many-streams", "you have %d streams open; close one", limits.Each).After(time.Second)
	}
	gauge := g.metrics.streams.WithLabelValues(r.service)
	gauge.Inc()
	e.closed = func(outcome string) {
		g.open.remove(e)
		gauge.Dec()
		g.metrics.ended.WithLabelValues(r.service, outcome).Inc()
		x.release()
	}
	if err := web.SendStream(c, max(limit, time.Nanosecond), e.begin); err != nil {
		_ = e.Close()
		return err
	}
	return nil
}

// openStreams are those of this gateway, and whose they are.
type openStreams struct {
	mu     sync.Mutex
	owners map[*events]ownership
	counts map[string]int
}

type ownership struct{ owner, token string }

func (o *openStreams) add(e *events, owner, token string, each int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.owners == nil {
		o.owners, o.counts = map[*events]ownership{}, map[string]int{}
	}
	if o.counts[owner] >= each {
		return false
	}
	o.counts[owner]++
	o.owners[e] = ownership{owner, token}
	return true
}

func (o *openStreams) remove(e *events) {
	o.mu.Lock()
	defer o.mu.Unlock()
	owner := o.owners[e].owner
	delete(o.owners, e)
	if o.counts[owner]--; o.counts[owner] <= 0 {
		delete(o.counts, owner)
	}
}

// tokens are those that streams were opened with, each with its streams.
func (o *openStreams) tokens() map[string][]*events {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := map[string][]*events{}
	for e, of := range o.owners {
		if of.token != "" {
			all[of.token] = append(all[of.token], e)
		}
	}
	return all
}

// watchStreams ends streams whose token does not count any more, until ctx ends. That
// users can't be asked ends none.
func (g *gateway) watchStreams(ctx context.Context) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for token, streams := range g.open.tokens() {
			if _, err := g.tokens.Verify(ctx, token); errs.KindOf(err) == errs.Unauthenticated {
				for _, e := range streams {
					e.end(true)
				}
			}
		}
	}
}
