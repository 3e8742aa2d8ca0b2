package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"

	"souk/internal/identity"
)

// Rotation needs no second pool: new connections log in with the active lease,
// and Reset lets each old one close when it comes back. So a caller never meets
// a closed pool, and MaxConns holds at any time.

func (p *Pool) nudge() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// firstLease finds credentials that work before there is a pool.
func (p *Pool) firstLease(ctx context.Context) error {
	l, err := p.adopt(ctx)
	if err != nil {
		return fmt.Errorf("postgres: no connection to database %s: %w", p.config.ConnConfig.Database, err)
	}
	p.active.Store(&l)
	return nil
}

// follow takes over each new lease until Close.
func (p *Pool) follow() {
	for {
		select {
		case <-p.background.Done():
			return
		case <-p.changed:
		}
		old := *p.active.Load()
		if p.creds.Current().ID == old.ID {
			continue
		}
		l, err := p.adopt(p.background)
		if err != nil {
			return // closing
		}
		p.active.Store(&l)
		p.Reset()
		p.rotations.Add(1)
		p.opts.Log.Info("database credentials replaced", "user", l.Username, "was", old.Username)
		p.running.Go(func() { p.retire(old) })
	}
}

// adopt waits until the newest lease logs in, and returns it. One that is
// superseded before it did is given up.
func (p *Pool) adopt(ctx context.Context) (identity.Lease, error) {
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(3*time.Second), backoff.WithMaxElapsedTime(0))
	var tried identity.Lease
	var said string
	for {
		l := p.creds.Current()
		if tried.ID != "" && tried.ID != l.ID {
			dead := tried
			p.running.Go(func() { p.retire(dead) })
		}
		tried = l
		err := p.try(ctx, l)
		if err == nil {
			return l, nil
		}
		if loginRefused(err) {
			p.creds.Suspect(l)
		}
		if reason := reasonOf(err); reason != said && ctx.Err() == nil {
			said = reason
			p.opts.Log.Warn("can't connect to PostgreSQL, trying on", "reason", said, "user", l.Username)
		}
		timer := time.NewTimer(wait.NextBackOff())
		select {
		case <-ctx.Done():
			timer.Stop()
			return l, fmt.Errorf("%s: %w", said, ctx.Err())
		case <-p.changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// try logs in with a lease, outside the pool.
func (p *Pool) try(ctx context.Context, l identity.Lease) error {
	c := p.config.ConnConfig.Copy()
	c.Tracer = nil
	if err := p.target(c, l); err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.Ping(ctx)
}

// retire gives up a lease once nothing runs under it, or its time for that is up:
// Vault then ends its sessions.
func (p *Pool) retire(l identity.Lease) {
	limit := time.NewTimer(p.drainLimit(l))
	defer limit.Stop()
	select {
	case <-p.sessions.without(l.Username):
	case <-p.background.Done():
	case <-limit.C:
		p.opts.Log.Warn("work under old database credentials takes too long and is ended", "user", l.Username)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.background), 5*time.Second)
	defer cancel()
	if err := p.creds.Revoke(ctx, l); err != nil {
		// Nothing hangs on it: Vault ends a lease by itself when its time is up.
		p.opts.Log.Info("old database credentials were not given up, they end with their lease", "reason", err.Error())
	}
}

func (p *Pool) drainLimit(l identity.Lease) time.Duration {
	left := time.Until(l.Expires) - time.Second
	if p.migrating.Load() > 0 {
		return left // a migration may take its time
	}
	return min(p.opts.Drain, left)
}
