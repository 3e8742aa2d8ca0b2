package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/payments/app"
)

// ClaimWebhooks leases, of each endpoint, as many of the deliveries that have been due longest as there are slots. An
// attempt counts from here on, so that one that kills its instance comes to an end too.
func (w *Webhooks) ClaimWebhooks(ctx context.Context, slots []app.WebhookSlots, lease time.Duration) (claims []app.WebhookClaim, err error) {
	endpoints, free := make([]uuid.UUID, len(slots)), make([]int, len(slots))
	for i, s := range slots {
		endpoints[i], free[i] = s.Endpoint, s.Free
	}
	err = postgres.Tx(ctx, w.pool, func(tx pgx.Tx) error {
		id := uuid.New()
		rows, err := tx.Query(ctx, `WITH picked AS (
				SELECT p.id, e.url, (SELECT array_agg(sealed ORDER BY number DESC) FROM webhook_secrets s
					WHERE s.endpoint_id = e.id AND coalesce(s.expires_at > now(), true)) AS secrets
				FROM unnest($1::uuid[], $2::int[]) AS slot (endpoint_id, free)
				JOIN webhook_endpoints e ON e.id = slot.endpoint_id AND e.status = 'enabled'
				CROSS JOIN LATERAL (SELECT id FROM webhook_deliveries WHERE endpoint_id = e.id AND status = 'pending' AND due_at <= now()
					ORDER BY due_at LIMIT slot.free FOR UPDATE SKIP LOCKED) p)
			UPDATE webhook_deliveries d SET lease = $3, due_at = now() + $4::interval, attempts = d.attempts + 1, begun = d.begun + 1
			FROM picked WHERE d.id = picked.id
			RETURNING d.id, d.endpoint_id, picked.url, picked.secrets, d.body, d.event_type, d.traceparent, d.attempts`, endpoints, free, id, lease)
		if err != nil {
			return err
		}
		claims, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c app.WebhookClaim, err error) {
			c.Lease = id
			err = row.Scan(&c.ID, &c.Endpoint, &c.URL, &c.Secrets, &c.Body, &c.EventType, &c.Traceparent, &c.Attempts)
			return c, err
		})
		return err
	})
	return claims, err
}

// SettleWebhook ends an attempt: its line in the log, the delivery's state, and what it says of the endpoint. held is
// false, and nothing changed, if the lease was lost.
func (w *Webhooks) SettleWebhook(ctx context.Context, c app.WebhookClaim, o app.WebhookOutcome) (held bool, err error) {
	status := app.DeliveryFailed
	switch {
	case o.Problem == "":
		status = app.DeliveryDelivered
	case o.Again:
		status = app.DeliveryPending
	}
	err = postgres.Tx(ctx, w.pool, func(tx pgx.Tx) error {
		var disabled int
		err := tx.QueryRow(ctx, `WITH settled AS (
				UPDATE webhook_deliveries SET status = $3, lease = NULL, due_at = now() + $4::interval, finished_at = CASE WHEN $3 <> 'pending' THEN now() END
				WHERE id = $1 AND lease = $2 RETURNING id, endpoint_id, begun),
			logged AS (INSERT INTO webhook_attempts (delivery_id, number, at, duration, status_code, problem)
				SELECT id, begun, $5, $6, nullif($7, 0), $8 FROM settled),
			works AS (UPDATE webhook_endpoints SET failing_since = NULL
				WHERE $8 = '' AND failing_since IS NOT NULL AND id = (SELECT endpoint_id FROM settled)),
			fails AS (UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, now()),
					status = CASE WHEN $9 THEN 'disabled' ELSE status END, reason = CASE WHEN $9 THEN $10 ELSE reason END,
					version = version + CASE WHEN $9 THEN 1 ELSE 0 END,
					updated_at = CASE WHEN $9 THEN date_trunc('milliseconds', now()) ELSE updated_at END
				WHERE $8 <> '' AND NOT $11 AND (failing_since IS NULL OR $9) AND status = 'enabled' AND id = (SELECT endpoint_id FROM settled))
			SELECT count(*) FROM settled`,
			c.ID, c.Lease, status, o.Wait, o.At, o.Duration.Milliseconds(), o.StatusCode, o.Problem, o.Gone, app.WebhookGone, o.Interrupted).Scan(&disabled)
		held = disabled > 0
		return err
	})
	return held, err
}

// ReleaseWebhook gives a claim back that was not used, to be due again after a while.
func (w *Webhooks) ReleaseWebhook(ctx context.Context, c app.WebhookClaim, after time.Duration) error {
	return postgres.Tx(ctx, w.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE webhook_deliveries SET lease = NULL, due_at = now() + $3::interval, attempts = attempts - 1, begun = begun - 1
			WHERE id = $1 AND lease = $2`, c.ID, c.Lease, after)
		return err
	})
}

// DisableWebhooks disables endpoints that have been failing for longer than so long, or for which more than most
// deliveries wait, and tells which, with the reason.
func (w *Webhooks) DisableWebhooks(ctx context.Context, failing time.Duration, most int) (disabled map[uuid.UUID]string, err error) {
	err = postgres.Tx(ctx, w.pool, func(tx pgx.Tx) error {
		disabled = map[uuid.UUID]string{}
		rows, err := tx.Query(ctx, `UPDATE webhook_endpoints e SET status = 'disabled', version = version + 1, updated_at = date_trunc('milliseconds', now()),
				reason = CASE WHEN coalesce(failing_since < now() - $1::interval, false) THEN $3 ELSE $4 END
			WHERE status = 'enabled' AND (failing_since < now() - $1::interval OR EXISTS (
				SELECT FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.status = 'pending' OFFSET $2)) RETURNING id, reason`,
			failing, most, app.WebhookFailing, app.WebhookBacklog)
		if err != nil {
			return err
		}
		var id uuid.UUID
		var reason string
		_, err = pgx.ForEachRow(rows, []any{&id, &reason}, func() error {
			disabled[id] = reason
			return nil
		})
		return err
	})
	return disabled, err
}

// sweepBatch bounds one statement.
const sweepBatch = 1000

// SweepWebhooks gives up what waits for endpoints that are disabled, and deletes what was finished longer than keep ago
// and what belongs to deleted endpoints. more is true if that is not all yet.
func (w *Webhooks) SweepWebhooks(ctx context.Context, keep time.Duration) (more bool, err error) {
	steps := []struct {
		sql  string
		args []any
	}{
		{`UPDATE webhook_deliveries SET status = 'failed', finished_at = now(), lease = NULL WHERE id IN (
			SELECT d.id FROM webhook_endpoints e JOIN webhook_deliveries d ON d.endpoint_id = e.id AND d.status = 'pending'
			WHERE e.status = 'disabled' LIMIT $1 FOR UPDATE OF d SKIP LOCKED)`, nil},
		{`DELETE FROM webhook_deliveries WHERE id IN (
			SELECT id FROM webhook_deliveries WHERE finished_at < now() - $2::interval ORDER BY finished_at LIMIT $1 FOR UPDATE SKIP LOCKED)`, []any{keep}},
		{`DELETE FROM webhook_deliveries WHERE id IN (
			SELECT d.id FROM webhook_endpoints e JOIN webhook_deliveries d ON d.endpoint_id = e.id
			WHERE e.status = 'deleted' LIMIT $1 FOR UPDATE OF d SKIP LOCKED)`, nil},
		{`DELETE FROM webhook_endpoints WHERE id IN (SELECT id FROM webhook_endpoints e
			WHERE status = 'deleted' AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.endpoint_id = e.id) LIMIT $1)`, nil},
		{`DELETE FROM webhook_secrets WHERE (endpoint_id, number) IN (SELECT endpoint_id, number FROM webhook_secrets WHERE expires_at <= now() LIMIT $1)`, nil},
	}
	var problems []error
	for _, step := range steps {
		err := postgres.Tx(ctx, w.pool, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, step.sql, append([]any{sweepBatch}, step.args...)...)
			more = more || tag.RowsAffected() == sweepBatch
			return err
		})
		problems = append(problems, err)
	}
	return more, errors.Join(problems...)
}

// PendingWebhooks is how many deliveries wait.
func (w *Webhooks) PendingWebhooks(ctx context.Context) (pending int, err error) {
	err = postgres.Read(ctx, w.pool, func(q postgres.Querier) error {
		return q.QueryRow(ctx, "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'").Scan(&pending)
	})
	return pending, err
}
