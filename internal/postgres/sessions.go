package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// sessions counts the connections of each user, those being made included, so
// that a user is given up only when it has none. It is the pool's tracer, which
// is the one place where pgx tells of an attempt that failed.
type sessions struct {
	refused func(user string) // PostgreSQL doesn't take the user's credentials

	mu    sync.Mutex
	count map[string]int
	idle  map[string]chan struct{} // closed when the user's count reaches zero
}

type tracedUser struct{}

// TraceConnectStart implements pgx.ConnectTracer.
func (s *sessions) TraceConnectStart(ctx context.Context, d pgx.TraceConnectStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		s.count = map[string]int{}
	}
	s.count[d.ConnConfig.User]++
	return context.WithValue(ctx, tracedUser{}, d.ConnConfig.User)
}

// TraceConnectEnd implements pgx.ConnectTracer.
func (s *sessions) TraceConnectEnd(ctx context.Context, d pgx.TraceConnectEndData) {
	user, _ := ctx.Value(tracedUser{}).(string)
	if d.Err == nil {
		return // ended is called when it closes
	}
	s.ended(user)
	if loginRefused(d.Err) {
		s.refused(user)
	}
}

// TraceQueryStart and TraceQueryEnd are there because pgx.Config takes only tracers of queries.
func (s *sessions) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd does nothing.
func (s *sessions) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *sessions) ended(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count[user]--; s.count[user] > 0 {
		return
	}
	delete(s.count, user)
	if done := s.idle[user]; done != nil {
		close(done)
		delete(s.idle, user)
	}
}

// without returns a channel that is closed once the user has no connection. No
// new ones may be made for it by then.
func (s *sessions) without(user string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done := s.idle[user]; done != nil {
		return done
	}
	done := make(chan struct{})
	if s.count[user] == 0 {
		close(done)
		return done
	}
	if s.idle == nil {
		s.idle = map[string]chan struct{}{}
	}
	s.idle[user] = done
	return done
}

// loginRefused: the password is wrong or run out, the role is gone (28P01 both),
// or it may not log in (28000).
func loginRefused(err error) bool {
	return hasCode(err, "28P01", "28000")
}

func hasCode(err error, codes ...string) bool {
	pg := (*pgconn.PgError)(nil)
	return errors.As(err, &pg) && slices.Contains(codes, pg.Code)
}
