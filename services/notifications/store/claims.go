package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/notifications/app"
)

// Claim implements app.Store. What an earlier claim left at the point of being handed over is in doubt from now on.
func (s *Store) Claim(ctx context.Context, lease time.Duration) (c app.Claim, ok bool, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		c, ok = app.Claim{Lease: uuid.New()}, false
		var user *uuid.UUID
		var since *time.Time
		err := tx.QueryRow(ctx, `UPDATE mails SET lease = $1, due_at = now() + $2::interval,
				doubts = doubts + CASE WHEN handed_at IS NULL THEN 0 ELSE 1 END, handed_at = NULL
			WHERE id = (SELECT id FROM mails WHERE status = 'queued' AND due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
			RETURNING id, kind, user_id, subject_id, order_data, requested_at, traceparent, attempts, doubts, failing_since`, c.Lease, lease).
			Scan(&c.ID, &c.Kind, &user, &c.Subject, &c.Order, &c.RequestedAt, &c.Traceparent, &c.Attempts, &c.Doubts, &since)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if user != nil {
			c.User = *user
		}
		if since != nil {
			c.FailingSince = *since
		}
		c.RequestedAt, ok = c.RequestedAt.UTC(), err == nil
		return err
	})
	return c, ok, err
}

// Hand implements app.Store.
func (s *Store) Hand(ctx context.Context, c app.Claim, lease time.Duration) error {
	return s.claimed(ctx, "UPDATE mails SET handed_at = now(), due_at = now() + $3::interval WHERE id = $1 AND lease = $2 AND status = 'queued'",
		c.ID, c.Lease, lease)
}

// Retry implements app.Store. An attempt in doubt leaves its mark for the next Claim to count.
func (s *Store) Retry(ctx context.Context, c app.Claim, r app.Retry) error {
	return s.claimed(ctx, `UPDATE mails SET lease = NULL, due_at = now() + $3::interval, reason = $4,
			attempts = attempts + CASE WHEN $5 THEN 1 ELSE 0 END,
			failing_since = CASE WHEN $5 THEN coalesce(failing_since, now()) ELSE failing_since END,
			handed_at = CASE WHEN $6 THEN coalesce(handed_at, now()) END
		WHERE id = $1 AND lease = $2 AND status = 'queued'`, c.ID, c.Lease, r.After, r.Reason, r.Counts, r.InDoubt)
}

// Finish implements app.Store.
func (s *Store) Finish(ctx context.Context, c app.Claim, status app.Status, reason string) error {
	return s.claimed(ctx, `UPDATE mails SET status = $3, reason = $4, finished_at = now(), lease = NULL, order_data = NULL,
			handed_at = NULL, traceparent = ''
		WHERE id = $1 AND lease = $2 AND status = 'queued'`, c.ID, c.Lease, status, reason)
}

// claimed changes a claimed mail. Each statement names the lease, so whoever lost it changes nothing.
func (s *Store) claimed(ctx context.Context, sql string, args ...any) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, args...)
		if err == nil && tag.RowsAffected() == 0 {
			return app.ErrLeaseLost
		}
		return err
	})
}

// Depth implements app.Store.
func (s *Store) Depth(ctx context.Context) (queued int, oldest time.Duration, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		return q.QueryRow(ctx, "SELECT count(*), coalesce(greatest(now() - min(requested_at), '0'), '0') FROM mails WHERE status = 'queued'").Scan(&queued, &oldest)
	})
	return queued, oldest, err
}
