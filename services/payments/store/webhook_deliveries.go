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

// WebhookSubscriptions are those of the endpoints that are enabled.
func (w *Webhooks) WebhookSubscriptions(ctx context.Context) (all []app.WebhookSubscription, err error) {
	err = postgres.Read(ctx, w.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, "SELECT id, events, failing_since IS NOT NULL FROM webhook_endpoints WHERE status = 'enabled'")
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s app.WebhookSubscription, err error) {
			err = row.Scan(&s.Endpoint, &s.Patterns, &s.Failing)
			return s, err
		})
		return err
	})
	return all, err
}

// QueueWebhooks adds deliveries in the transaction that notes their events as done. Those that are there already, and
// those to endpoints that are not enabled any more, are left out.
func (w *Webhooks) QueueWebhooks(ctx context.Context, tx pgx.Tx, ds []app.NewWebhookDelivery) error {
	n := len(ds)
	ids, endpoints, bodies := make([]uuid.UUID, n), make([]uuid.UUID, n), make([][]byte, n)
	types, subjects, traces := make([]string, n), make([]string, n), make([]string, n)
	for i, d := range ds {
		ids[i], endpoints[i], bodies[i] = d.ID, d.Endpoint, d.Body
		types[i], subjects[i], traces[i] = d.EventType, d.Subject, d.Traceparent
	}
	_, err := tx.Exec(ctx, `INSERT INTO webhook_deliveries (id, endpoint_id, event_type, subject, body, traceparent)
		SELECT u.id, e.id, u.event_type, u.subject, u.body, u.traceparent
		FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::text[]) AS u (id, endpoint_id, event_type, subject, body, traceparent)
		JOIN webhook_endpoints e ON e.id = u.endpoint_id AND e.status = 'enabled'
		ON CONFLICT (id) DO NOTHING`, ids, endpoints, types, subjects, bodies, traces)
	return err
}

const deliveryColumns = `d.id, d.endpoint_id, d.event_type, d.subject, d.status, d.created_at, d.finished_at,
	CASE WHEN d.status = 'pending' THEN d.due_at END`

// WebhookDeliveries implements app.WebhookStore.
func (w *Webhooks) WebhookDeliveries(ctx context.Context, id uuid.UUID, status app.WebhookDeliveryStatus, before uuid.UUID, limit int) (ds []app.WebhookDelivery, err error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	err = postgres.Read(ctx, w.pool, func(q postgres.Querier) error {
		if _, err := endpoint(ctx, q, id, ""); err != nil {
			return err
		}
		rows, err := q.Query(ctx, "SELECT "+deliveryColumns+` FROM webhook_deliveries d
			WHERE d.endpoint_id = $1 AND d.id < $2 AND ($3 = '' OR d.status = $3) ORDER BY d.id DESC LIMIT $4`, id, before, status, limit)
		if err != nil {
			return err
		}
		if ds, err = pgx.CollectRows(rows, scanDelivery); err != nil {
			return err
		}
		return attempts(ctx, q, ds)
	})
	return ds, err
}

// attempts adds to each delivery its last attempts.
func attempts(ctx context.Context, q postgres.Querier, ds []app.WebhookDelivery) error {
	ids, at := make([]uuid.UUID, len(ds)), make(map[uuid.UUID]int, len(ds))
	for i, d := range ds {
		ids[i], at[d.ID] = d.ID, i
	}
	rows, err := q.Query(ctx, `SELECT delivery_id, number, at, duration, coalesce(status_code, 0), problem FROM (
			SELECT *, row_number() OVER (PARTITION BY delivery_id ORDER BY number DESC) AS back FROM webhook_attempts WHERE delivery_id = ANY ($1)) a
		WHERE back <= $2 ORDER BY delivery_id, number`, ids, app.WebhookAttemptsShown)
	if err != nil {
		return err
	}
	var id uuid.UUID
	var a app.WebhookAttempt
	_, err = pgx.ForEachRow(rows, []any{&id, &a.Number, &a.At, &a.DurationMS, &a.StatusCode, &a.Problem}, func() error {
		a.At = a.At.UTC()
		d := &ds[at[id]]
		d.Attempts = append(d.Attempts, a)
		return nil
	})
	return err
}

// Redeliver implements app.WebhookStore. The lease of an attempt at work stays.
func (w *Webhooks) Redeliver(ctx context.Context, id, delivery uuid.UUID) (d app.WebhookDelivery, err error) {
	err = postgres.Tx(ctx, w.pool, func(tx pgx.Tx) error {
		e, err := endpoint(ctx, tx, id, " FOR SHARE")
		if err != nil {
			return err
		}
		if e.Status != app.WebhookEnabled {
			return app.ErrWebhookDisabled
		}
		rows, err := tx.Query(ctx, `UPDATE webhook_deliveries d SET status = 'pending', finished_at = NULL,
				attempts = CASE WHEN d.lease IS NULL THEN 0 ELSE d.attempts END,
				due_at = CASE WHEN d.lease IS NULL THEN now() ELSE d.due_at END
			WHERE d.endpoint_id = $1 AND d.id = $2 RETURNING `+deliveryColumns, id, delivery)
		if err != nil {
			return err
		}
		d, err = pgx.CollectExactlyOneRow(rows, scanDelivery)
		if errors.Is(err, pgx.ErrNoRows) {
			return app.ErrNoWebhookDelivery
		}
		if err != nil {
			return err
		}
		ds := []app.WebhookDelivery{d}
		err = attempts(ctx, tx, ds)
		d = ds[0]
		return err
	})
	return d, err
}

// scanDelivery reads deliveryColumns.
func scanDelivery(row pgx.CollectableRow) (d app.WebhookDelivery, err error) {
	err = row.Scan(&d.ID, &d.EndpointID, &d.EventType, &d.Subject, &d.Status, &d.CreatedAt, &d.FinishedAt, &d.NextAttemptAt)
	d.CreatedAt = d.CreatedAt.UTC().Truncate(time.Millisecond)
	d.FinishedAt, d.NextAttemptAt, d.Attempts = whole(d.FinishedAt), whole(d.NextAttemptAt), []app.WebhookAttempt{}
	return d, err
}
