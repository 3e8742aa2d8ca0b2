package oauth

import (
	"context"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/logs"
	"souk/internal/tokens"
	"souk/internal/web"
)

const (
	pollFeed = 250 * time.Millisecond // how often an instance looks for revocations of others
	longPoll = 20 * time.Second       // how long a verifier waits for news at most
)

// news wakes all who wait for it.
type news struct {
	mu     sync.Mutex
	next   chan struct{} // closed with the next news
	closed bool
}

func (n *news) init() { n.next = make(chan struct{}) }

// wait gives what is closed with the next news; after the end, what is closed already.
func (n *news) wait() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.next
}

func (n *news) tell(last bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	close(n.next)
	if n.closed = last; !last {
		n.next = make(chan struct{})
	}
}

// over tells that there will be no more.
func (n *news) over() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closed
}

// Follow looks for new revocations, and wakes the verifiers that wait for them, until ctx ends; then nobody waits any more.
func (s *Server) Follow(ctx context.Context) {
	defer s.news.tell(true)
	tick := time.NewTicker(pollFeed)
	defer tick.Stop()
	cursor, failing := "", false
	for {
		feed, err := s.opts.Store.RevokedSince(ctx, cursor)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.opts.Log.WarnContext(ctx, "revocations can't be read", logs.Err(err))
		case err == nil:
			cursor = feed.Cursor
			if len(feed.Revocations) > 0 {
				s.news.tell(false)
			}
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// JWKS implements tokens.Source, for the verifier of this service itself.
func (s *Server) JWKS(ctx context.Context) ([]byte, error) { return s.opts.Keys.JWKS(ctx) }

// Revocations implements tokens.Source. A server that stops answers those who wait, and sends others elsewhere: with an
// empty answer at once they would ask again and again.
func (s *Server) Revocations(ctx context.Context, after string) (tokens.Feed, error) {
	timeout := time.NewTimer(longPoll)
	defer timeout.Stop()
	if s.news.over() {
		return tokens.Feed{}, errs.New(errs.Unavailable, "stopping", "this instance is stopping; ask another one").After(time.Second)
	}
	for {
		next := s.news.wait() // before looking: what comes meanwhile is not missed
		feed, err := s.opts.Store.RevokedSince(ctx, after)
		if err != nil || after == "" || len(feed.Revocations) > 0 {
			return feed, err
		}
		if s.news.over() {
			return feed, nil
		}
		select {
		case <-next:
			after = feed.Cursor
		case <-timeout.C:
			return feed, nil
		case <-ctx.Done():
			return tokens.Feed{}, ctx.Err()
		}
	}
}

// revocations answers GET /internal/revocations?after=<cursor> to verifiers.
func (s *Server) revocations(c *fiber.Ctx) error {
	web.SetTimeout(c, longPoll+5*time.Second)
	feed, err := s.Revocations(web.Context(c), c.Query("after")) // as long as it may be: one that can't be read counts as none
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return web.Send(c, fiber.StatusOK, feed)
}
