package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"souk/internal/errs"
	"souk/internal/postgres"
	"souk/services/orders/app"
)

// A placement does with its Idempotency-Key what postgres.IdempotencyKey does, but in the one batch of its transaction:
// four round trips less.

const earlierSQL = `SELECT fingerprint, header, body FROM idempotency_keys
	WHERE principal = $1 AND route = $2 AND key = $3 AND created_at > now() - interval '24 hours'`

// errAnswered ends a transaction whose request was answered before.
var errAnswered = errors.New("the request was answered before")

// queueClaim begins a batch: it fails with errs.IdempotencyInFlight while another request with the key is at work, with
// errAnswered and earlier filled in when one was answered, with errs.IdempotencyKeyReused when that was another request.
// The lock is a statement of its own, as the next one must see what its last holder has committed.
func queueClaim(b *pgx.Batch, once app.Once, earlier *app.Answer) {
	b.Queue(`SELECT pg_try_advisory_xact_lock($1)`, lockOf(once)).QueryRow(func(row pgx.Row) error {
		var mine bool
		if err := row.Scan(&mine); err != nil {
			return err
		}
		if !mine {
			return errs.IdempotencyInFlight()
		}
		return nil
	})
	b.Queue(earlierSQL, once.Principal, once.Route, once.Key).QueryRow(func(row pgx.Row) error {
		found, err := readEarlier(row, once, earlier)
		if err == nil && found {
			err = errAnswered
		}
		return err
	})
}

func readEarlier(row pgx.Row, once app.Once, earlier *app.Answer) (found bool, err error) {
	var fingerprint []byte
	var header map[string]string
	err = row.Scan(&fingerprint, &header, &earlier.Body)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case !bytes.Equal(fingerprint, once.Fingerprint):
		return false, errs.IdempotencyKeyReused()
	}
	earlier.Location = header["Location"]
	return true, nil
}

// queueRemember stores the answer. The one row that may stand in the way has run out.
func queueRemember(b *pgx.Batch, once app.Once, answer app.Answer) {
	b.Queue(`INSERT INTO idempotency_keys AS k (principal, route, key, fingerprint, status, header, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (principal, route, key) DO UPDATE SET (fingerprint, status, header, body, created_at)
			= (EXCLUDED.fingerprint, EXCLUDED.status, EXCLUDED.header, EXCLUDED.body, now())
		WHERE k.created_at <= now() - interval '24 hours'`,
		once.Principal, once.Route, once.Key, once.Fingerprint, http.StatusAccepted, map[string]string{"Location": answer.Location}, answer.Body,
	).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return errs.IdempotencyInFlight()
		}
		return nil
	})
}

// lockOf is the key's number among PostgreSQL's advisory locks.
func lockOf(once app.Once) int64 {
	h := sha256.New()
	for _, part := range []string{"idempotency", once.Principal, once.Route, once.Key} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return int64(binary.BigEndian.Uint64(h.Sum(nil))) //nolint:gosec // any 64 bits will do
}

// Answered implements app.OrderStore.
func (s *Store) Answered(ctx context.Context, once app.Once) (answer app.Answer, ok bool, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		ok, err = readEarlier(q.QueryRow(ctx, earlierSQL, once.Principal, once.Route, once.Key), once, &answer)
		return err
	})
	return answer, ok && err == nil, err
}

// key is the Idempotency-Key as the kit has it.
func key(once app.Once) postgres.IdempotencyKey {
	return postgres.IdempotencyKey{Principal: once.Principal, Route: once.Route, Key: once.Key, Fingerprint: once.Fingerprint}
}
