package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/notifications/app"
)

// Claim implements app.Store. What an earlier claim left at the point of being handed over is in doubt from now on.
func (s *Store) Claim(ctx context.Context, lease time.Duration, most int) (claims []app.Claim, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		id := uuid.New()
		rows, err := tx.Query(ctx, `WITH due AS MATERIALIZED (SELECT id FROM mails WHERE status = 'queued' AND due_at <= now() ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
			UPDATE mails SET lease = $1, due_at = now() + $2::interval,
				doubts = doubts + CASE WHEN handed_at IS NULL THEN 0 ELSE 1 END, handed_at = NULL
			FROM due WHERE mails.id = due.id
			RETURNING mails.id, kind, user_id, subject_id, order_data, requested_at, traceparent, attempts, doubts, failing_since`, id, lease, most)
		if err != nil {
			return err
		}
		claims, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (app.Claim, error) {
			c := app.Claim{Lease: id}
			var user *uuid.UUID
			var since *time.Time
			err := row.Scan(&c.ID, &c.Kind, &user, &c.Subject, &c.Order, &c.RequestedAt, &c.Traceparent, &c.Attempts, &c.Doubts, &since)
			if user != nil {
				c.User = *user
			}
			if since != nil {
				c.FailingSince = *since
			}
			c.RequestedAt = c.RequestedAt.UTC()
			return c, err
		})
		return err
	})
	slices.SortFunc(claims, func(a, b app.Claim) int { return a.RequestedAt.Compare(b.RequestedAt) })
	return claims, err
}

// Hand implements app.Store.
func (s *Store) Hand(ctx context.Context, c app.Claim, lease time.Duration) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE mails SET handed_at = now(), due_at = now() + $3::interval WHERE id = $1 AND lease = $2 AND status = 'queued'", c.ID, c.Lease, lease)
		if err == nil && tag.RowsAffected() == 0 {
			return app.ErrLeaseLost
		}
		return err
	})
}

// held finds the mails of claims that are held still: each statement names the leases, so whoever lost one changes
// nothing. Mails are locked in the order of their ids, as an erasure locks several too.
const held = `WITH held AS MATERIALIZED (SELECT id FROM mails JOIN unnest($1::uuid[], $2::uuid[]) AS claim (mail, of) ON id = mail AND lease = of AND status = 'queued'
	ORDER BY id FOR UPDATE OF mails) `

func leases(claims []app.Claim) (ids, leases []uuid.UUID) {
	for _, c := range claims {
		ids, leases = append(ids, c.ID), append(leases, c.Lease)
	}
	return ids, leases
}

// Retry implements app.Store. An attempt in doubt leaves its mark for the next Claim to count.
func (s *Store) Retry(ctx context.Context, claims []app.Claim, r app.Retry) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		ids, leases := leases(claims)
		_, err := tx.Exec(ctx, held+`UPDATE mails SET lease = NULL, due_at = now() + $3::interval, reason = $4,
				attempts = attempts + CASE WHEN $5 THEN 1 ELSE 0 END,
				failing_since = CASE WHEN $5 THEN coalesce(failing_since, now()) ELSE failing_since END,
				handed_at = CASE WHEN $6 THEN coalesce(handed_at, now()) END
			FROM held WHERE mails.id = held.id`, ids, leases, r.After, r.Reason, r.Counts, r.InDoubt)
		return err
	})
}

// Finish implements app.Store.
func (s *Store) Finish(ctx context.Context, ends []app.End) (lost map[uuid.UUID]bool, err error) {
	claims := make([]app.Claim, len(ends))
	statuses, reasons := make([]string, len(ends)), make([]string, len(ends))
	for i, e := range ends {
		claims[i], statuses[i], reasons[i] = e.Claim, string(e.Status), e.Reason
	}
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		lost = map[uuid.UUID]bool{}
		ids, leases := leases(claims)
		rows, err := tx.Query(ctx, held+`UPDATE mails SET status = ended.status, reason = ended.reason, finished_at = now(), lease = NULL, order_data = NULL,
				handed_at = NULL, traceparent = ''
			FROM held JOIN unnest($1::uuid[], $3::text[], $4::text[]) AS ended (id, status, reason) USING (id) WHERE mails.id = held.id
			RETURNING mails.id`, ids, leases, statuses, reasons)
		if err != nil {
			return err
		}
		recorded, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil || len(recorded) == len(ids) {
			return err
		}
		for _, id := range ids {
			if !slices.Contains(recorded, id) {
				lost[id] = true
			}
		}
		return nil
	})
	return lost, err
}

// Depth implements app.Store.
func (s *Store) Depth(ctx context.Context) (queued int, oldest time.Duration, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		return q.QueryRow(ctx, "SELECT count(*), coalesce(greatest(now() - min(requested_at), '0'), '0') FROM mails WHERE status = 'queued'").Scan(&queued, &oldest)
	})
	return queued, oldest, err
}
