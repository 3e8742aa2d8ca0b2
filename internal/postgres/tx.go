package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Querier is what both a transaction and a connection can do.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Tx runs f in a transaction (read committed) and commits it if f returns nil.
// It runs f again, in a new transaction, when PostgreSQL undid this one for the
// sake of others or the connection ended before COMMIT was sent: f must do
// nothing but use its tx, so neither the pool nor a remote call, and start its
// results anew. Errors are Explain's; f's own and that of COMMIT are in the chain.
func Tx(ctx context.Context, p *Pool, f func(pgx.Tx) error) error {
	return TxAt(ctx, p, pgx.ReadCommitted, f)
}

// TxAt is Tx at an isolation level.
func TxAt(ctx context.Context, p *Pool, level pgx.TxIsoLevel, f func(pgx.Tx) error) error {
	return p.again(ctx, func(conn *pgxpool.Conn) error { return once(ctx, conn, level, f) })
}

// Read runs f, which must only read and start its results anew, without a
// transaction; it runs it again when the connection ends under it. Errors are
// Explain's.
func Read(ctx context.Context, p *Pool, f func(Querier) error) error {
	return p.again(ctx, func(conn *pgxpool.Conn) error { return ended(conn, f(conn)) })
}

// errConnectionEnded marks what f returned when its connection was gone by then.
var errConnectionEnded = errors.New("the connection ended")

func ended(conn *pgxpool.Conn, err error) error {
	if err != nil && conn.Conn().IsClosed() {
		return fmt.Errorf("%w: %w", errConnectionEnded, err)
	}
	return err
}

// maxConflicts bounds how often one call of Tx starts anew because of others.
const maxConflicts = 8

// again calls do with a connection until it succeeds, fails for good, or has
// tried for long enough.
func (p *Pool) again(ctx context.Context, do func(*pgxpool.Conn) error) error {
	patience := time.Now().Add(p.opts.Patience)
	conflicts := 0
	for attempt := 0; ; attempt++ {
		err := p.withConn(ctx, do)
		switch {
		case err == nil, ctx.Err() != nil, errors.Is(err, ErrOutcomeUnknown):
			return Explain(err)
		case conflictsWithOthers(err):
			if conflicts++; conflicts == maxConflicts {
				return Explain(err)
			}
		case !connectionLost(err) || time.Now().After(patience):
			return Explain(err)
		}
		// 5 to 10 ms at first, at most 160 to 320: those that collided part, and a server that starts isn't stormed.
		wait := time.Duration(5<<min(attempt, 5)) * time.Millisecond
		timer := time.NewTimer(wait + rand.N(wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return Explain(err)
		case <-timer.C:
		}
	}
}

func (p *Pool) withConn(ctx context.Context, do func(*pgxpool.Conn) error) error {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("postgres: get a connection: %w", err)
	}
	defer conn.Release() // one that a panic left in a transaction is closed by it
	return do(conn)
}

func once(ctx context.Context, conn *pgxpool.Conn, level pgx.TxIsoLevel, f func(pgx.Tx) error) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: level})
	if err != nil {
		return fmt.Errorf("postgres: begin: %w", err)
	}
	err = ended(conn, f(tx))
	// The request's end must neither leave a transaction behind nor interrupt its commit.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = tx.Rollback(ending) // if it fails the connection is closed with what it held
		return err
	}
	err = tx.Commit(ending)
	switch {
	case err == nil:
		return nil
	case conn.Conn().IsClosed(), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return fmt.Errorf("postgres: commit: %w", err)
}
