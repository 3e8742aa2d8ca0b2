package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"souk/internal/errs"
)

// IdempotencyKey is a request's Idempotency-Key and what it holds for. Keys are
// kept for 24 hours in the table idempotency_keys, which Migrate makes.
type IdempotencyKey struct {
	Principal   string // who asks; never empty, so that nobody gets another's reply
	Route       string // method and route template: "POST /v1/orders"
	Key         string
	Fingerprint []byte // a hash of what else must be equal: method, route, body
}

// Reply is what the first request was answered, to be repeated word for word.
type Reply struct {
	Status int
	Header map[string]string // the few that belong to the outcome: Location, ETag, Content-Type
	Body   []byte
}

// Do runs f in a transaction, unless the key's request was answered before: then
// it returns that reply and replayed is true. The effect and the reply are stored
// together, so neither is there without the other. If f fails nothing is stored
// and the key is free again. Errors: errs.IdempotencyKeyReused (422),
// errs.IdempotencyInFlight (409), and those of Tx.
func (k IdempotencyKey) Do(ctx context.Context, p *Pool, f func(pgx.Tx) (Reply, error)) (reply Reply, replayed bool, err error) {
	err = Tx(ctx, p, func(tx pgx.Tx) error {
		earlier, err := k.Begin(ctx, tx)
		if replayed = earlier != nil; err != nil || replayed {
			if replayed {
				reply = *earlier
			}
			return err
		}
		if reply, err = f(tx); err != nil {
			return err
		}
		return k.Finish(ctx, tx, reply)
	})
	if err != nil {
		return Reply{}, false, err
	}
	return reply, replayed, nil
}

// Begin claims the key until tx ends, or returns the reply that was stored with
// it. It should be the first statement of tx.
func (k IdempotencyKey) Begin(ctx context.Context, tx pgx.Tx) (*Reply, error) {
	batch, earlier := &pgx.Batch{}, &Reply{}
	if err := k.QueueBegin(batch, earlier); err != nil {
		return nil, err
	}
	err := tx.SendBatch(ctx, batch).Close()
	if errors.Is(err, ErrAnswered) {
		return earlier, nil
	}
	return nil, err
}

// Finish stores the reply in the transaction of its effect, after Begin.
func (k IdempotencyKey) Finish(ctx context.Context, tx pgx.Tx, r Reply) error {
	batch := &pgx.Batch{}
	k.QueueFinish(batch, r)
	return tx.SendBatch(ctx, batch).Close()
}

// ErrAnswered ends a batch whose request was answered before.
var ErrAnswered = errors.New("postgres: the request was answered before")

// QueueBegin is Begin for a batch of statements of the caller's, so that all of a
// request is one round trip. It should be the first in it. If the key can't be claimed the
// batch's Close, which must be what reads the results, fails with Begin's error, or
// with ErrAnswered and the stored reply in earlier: then the transaction must be undone.
func (k IdempotencyKey) QueueBegin(b *pgx.Batch, earlier *Reply) error {
	if k.Principal == "" || k.Route == "" || k.Key == "" || len(k.Fingerprint) == 0 {
		return errors.New("postgres: an idempotency key without principal, route, key or fingerprint")
	}
	// A row of a transaction under way is invisible and inserting beside it would wait; the lock can be asked. It is a
	// statement of its own, as the next one must see what its last holder has committed.
	b.Queue(`SELECT pg_try_advisory_xact_lock($1)`, k.lock()).QueryRow(func(row pgx.Row) error {
		var mine bool
		if err := row.Scan(&mine); err != nil {
			return fmt.Errorf("postgres: claim the idempotency key: %w", err)
		}
		if !mine {
			return errs.IdempotencyInFlight()
		}
		return nil
	})
	b.Queue(earlierSQL, k.Principal, k.Route, k.Key).QueryRow(func(row pgx.Row) error {
		r, err := k.scan(row)
		if err != nil || r == nil {
			return err
		}
		*earlier = *r
		return ErrAnswered
	})
	return nil
}

// QueueFinish is Finish for the batch of QueueBegin, after what the request does.
func (k IdempotencyKey) QueueFinish(b *pgx.Batch, r Reply) {
	if r.Header == nil {
		r.Header = map[string]string{}
	}
	if r.Body == nil {
		r.Body = []byte{}
	}
	// The one row that may stand in the way has run out.
	b.Queue(`INSERT INTO idempotency_keys AS k (principal, route, key, fingerprint, status, header, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (principal, route, key) DO UPDATE SET (fingerprint, status, header, body, created_at)
			= (EXCLUDED.fingerprint, EXCLUDED.status, EXCLUDED.header, EXCLUDED.body, now())
		WHERE k.created_at <= now() - interval '24 hours'`,
		k.Principal, k.Route, k.Key, k.Fingerprint, r.Status, r.Header, r.Body,
	).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return errs.IdempotencyInFlight()
		}
		return nil
	})
}

// Answered gives the reply that was stored with the key, nil if none was, without claiming
// the key: for what need not be done again to answer a repetition.
func (k IdempotencyKey) Answered(ctx context.Context, p *Pool) (reply *Reply, err error) {
	err = Read(ctx, p, func(q Querier) error {
		reply, err = k.scan(q.QueryRow(ctx, earlierSQL, k.Principal, k.Route, k.Key))
		return err
	})
	return reply, err
}

// earlierSQL: the key's time is no column of its own here, so that no index on it looks tempting to a planner that knows
// nothing of the table yet.
const earlierSQL = `SELECT fingerprint, status, header, body FROM idempotency_keys
	WHERE principal = $1 AND route = $2 AND key = $3 AND created_at + interval '24 hours' > now()`

// scan reads what earlierSQL finds; nil is nothing.
func (k IdempotencyKey) scan(row pgx.Row) (*Reply, error) {
	var fingerprint []byte
	r := &Reply{}
	err := row.Scan(&fingerprint, &r.Status, &r.Header, &r.Body)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("postgres: look up the idempotency key: %w", err)
	case !bytes.Equal(fingerprint, k.Fingerprint):
		return nil, errs.IdempotencyKeyReused()
	}
	return r, nil
}

// lock is the key's number among PostgreSQL's advisory locks.
func (k IdempotencyKey) lock() int64 {
	h := sha256.New()
	for _, part := range []string{"idempotency", k.Principal, k.Route, k.Key} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return int64(binary.BigEndian.Uint64(h.Sum(nil))) //nolint:gosec // any 64 bits will do
}

// ForgetIdempotencyKeys deletes keys that have run out, at most 1,000 at a time,
// and returns how many it deleted. Any instance may call it at any time.
func ForgetIdempotencyKeys(ctx context.Context, p *Pool) (int64, error) {
	var n int64
	err := Tx(ctx, p, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM idempotency_keys WHERE ctid IN (SELECT ctid FROM idempotency_keys
			WHERE created_at <= now() - interval '24 hours' LIMIT 1000 FOR UPDATE SKIP LOCKED)`)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}
