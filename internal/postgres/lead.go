package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	candidacy = time.Second     // how often an instance asks whether the place is free
	heartbeat = 2 * time.Second // how often a leader looks whether it still has its session
)

// Lead runs f on one instance at a time among those that call it with the same
// name on the same database, until ctx ends. f's context ends when the
// leadership does: ctx ends, the session is lost, or its credentials are
// replaced; f must then return soon. If f returns by itself, the place is given
// up and sought again. The leader takes one connection of the pool's for as long
// as it leads.
//
// A leader whose connection breaks learns it up to two heartbeats (4 s) after
// another may have taken over: what f does must bear that, as an outbox's relay
// does whose consumers recognise duplicates.
func Lead(ctx context.Context, p *Pool, name string, f func(context.Context) error) {
	log := p.opts.Log.With("leader_of", name)
	for ctx.Err() == nil {
		err := p.withConn(ctx, func(conn *pgxpool.Conn) error { return p.leadOn(ctx, conn, name, f) })
		if err != nil && ctx.Err() == nil {
			log.Warn("leadership ended", "reason", reasonOf(err))
		}
		timer := time.NewTimer(candidacy/2 + rand.N(candidacy))
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// leadOn runs f if the lock can be had on this connection, which stays f's until it ends.
func (p *Pool) leadOn(ctx context.Context, conn *pgxpool.Conn, name string, f func(context.Context) error) error {
	var mine bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, leaderLock(name)).Scan(&mine); err != nil || !mine {
		return err
	}
	p.opts.Log.Info("leading", "leader_of", name)
	leading, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f(leading) }()

	lost := p.watch(leading, conn)
	var err error
	select {
	case err = <-done:
		stop()
		<-lost
	case err = <-lost:
		stop()
		if e := <-done; e != nil && ctx.Err() == nil {
			err = e
		}
	}
	unlock, cancel := context.WithTimeout(context.WithoutCancel(ctx), heartbeat)
	defer cancel()
	if _, e := conn.Exec(unlock, `SELECT pg_advisory_unlock($1)`, leaderLock(name)); e != nil {
		_ = conn.Conn().Close(unlock) // the lock goes with the session
	}
	return err
}

// watch gives one value: when the connection fails (why), when its credentials
// are replaced, or when ctx ends (nil). It uses the connection until then.
func (p *Pool) watch(ctx context.Context, conn *pgxpool.Conn) <-chan error {
	lost := make(chan error, 1)
	go func() {
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				lost <- nil
				return
			case <-tick.C:
			}
			if conn.Conn().Config().User != p.active.Load().Username {
				lost <- nil
				return
			}
			ping, cancel := context.WithTimeout(context.WithoutCancel(ctx), heartbeat)
			err := conn.Ping(ping)
			cancel()
			if err != nil {
				lost <- err
				return
			}
		}
	}()
	return lost
}

func leaderLock(name string) int64 {
	sum := sha256.Sum256([]byte("leader:" + name))
	return int64(binary.BigEndian.Uint64(sum[:])) //nolint:gosec // any 64 bits will do
}
