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

// Webhooks is app.WebhookStore on PostgreSQL, and what the room webhooks needs of it.
type Webhooks struct{ pool *postgres.Pool }

// NewWebhooks makes a store. Store.Migrate must have succeeded before it is used.
func NewWebhooks(pool *postgres.Pool) *Webhooks { return &Webhooks{pool: pool} }

const endpointColumns = "id, version, url, events, description, status, reason, failing_since, created_at, updated_at"

// InsertWebhookEndpoint implements app.WebhookStore.
func (w *Webhooks) InsertWebhookEndpoint(ctx context.Context, e app.WebhookEndpoint, sealed string) error {
	return postgres.Tx(ctx, w.pool, func(tx pgx.Tx) error {
		// One at a time, so that the number of those that are there holds.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('webhook_endpoints'))"); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `WITH made AS (
				INSERT INTO webhook_endpoints (id, version, url, events, description, status, created_at, updated_at)
				SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE (SELECT count(*) FROM webhook_endpoints WHERE status <> 'deleted') < $9 RETURNING id)
			INSERT INTO webhook_secrets (endpoint_id, number, sealed) SELECT id, 1, $10 FROM made`,
			e.ID, e.Version, e.URL, e.Events, e.Description, e.Status, e.CreatedAt, e.UpdatedAt, app.MaxWebhookEndpoints, sealed)
		if err == nil && tag.RowsAffected() == 0 {
			return app.ErrManyWebhookEndpoints
		}
		return err
	})
}

// WebhookEndpoint implements app.WebhookStore.
func (w *Webhooks) WebhookEndpoint(ctx context.Context, id uuid.UUID) (e app.WebhookEndpoint, err error) {
	err = postgres.Read(ctx, w.pool, func(q postgres.Querier) error {
		e, err = endpoint(ctx, q, id, "")
		return err
	})
	return e, err
}

// WebhookEndpoints implements app.WebhookStore.
func (w *Webhooks) WebhookEndpoints(ctx context.Context) (all []app.WebhookEndpoint, err error) {
	err = postgres.Read(ctx, w.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, "SELECT "+endpointColumns+" FROM webhook_endpoints WHERE status <> 'deleted' ORDER BY id DESC")
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scanEndpoint)
		return err
	})
	return all, err
}

// ChangeWebhookEndpoint implements app.WebhookStore.
func (w *Webhooks) ChangeWebhookEndpoint(ctx context.Context, id uuid.UUID, change func(*app.WebhookEndpoint) error) (e app.WebhookEndpoint, err error) {
	err = postgres.Tx(ctx, w.pool, func(tx pgx.Tx) error {
		if e, err = endpoint(ctx, tx, id, " FOR NO KEY UPDATE"); err != nil {
			return err
		}
		version := e.Version
		if err := change(&e); err != nil || e.Version == version {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE webhook_endpoints SET version = $2, url = $3, events = $4, description = $5, status = $6, reason = $7,
			failing_since = $8, updated_at = $9 WHERE id = $1`,
			id, e.Version, e.URL, e.Events, e.Description, e.Status, e.Reason, e.FailingSince, e.UpdatedAt)
		return err
	})
	return e, err
}

// DeleteWebhookEndpoint implements app.WebhookStore. Its deliveries may be many: Sweep deletes them, and the row last.
func (w *Webhooks) DeleteWebhookEndpoint(ctx context.Context, id uuid.UUID, allow func(app.WebhookEndpoint) error) error {
	return postgres.Tx(ctx, w.pool, func(tx pgx.Tx) error {
		e, err := endpoint(ctx, tx, id, " FOR NO KEY UPDATE")
		if err != nil {
			return err
		}
		if err := allow(e); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `WITH secrets AS (DELETE FROM webhook_secrets WHERE endpoint_id = $1)
			UPDATE webhook_endpoints SET status = 'deleted', url = '', description = '', version = version + 1 WHERE id = $1`, id)
		return err
	})
}

// AddWebhookSecret implements app.WebhookStore.
func (w *Webhooks) AddWebhookSecret(ctx context.Context, id uuid.UUID, sealed string, overlap time.Duration, now time.Time) (e app.WebhookEndpoint, err error) {
	err = postgres.Tx(ctx, w.pool, func(tx pgx.Tx) error {
		if e, err = endpoint(ctx, tx, id, " FOR NO KEY UPDATE"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE webhook_secrets SET expires_at = least(expires_at, now() + $2::interval) WHERE endpoint_id = $1", id, overlap)
		if err != nil {
			return err
		}
		var last int64
		var good int
		err = tx.QueryRow(ctx, "SELECT max(number), count(*) FILTER (WHERE expires_at > now()) FROM webhook_secrets WHERE endpoint_id = $1", id).Scan(&last, &good)
		if err != nil {
			return err
		}
		if good >= app.MaxWebhookSecrets {
			return app.ErrManyWebhookSecrets
		}
		e.Version, e.UpdatedAt = e.Version+1, now.UTC().Truncate(time.Millisecond)
		_, err = tx.Exec(ctx, `WITH expired AS (DELETE FROM webhook_secrets WHERE endpoint_id = $1 AND expires_at <= now()),
			added AS (INSERT INTO webhook_secrets (endpoint_id, number, sealed) VALUES ($1, $2, $3))
			UPDATE webhook_endpoints SET version = $4, updated_at = $5 WHERE id = $1`, id, last+1, sealed, e.Version, e.UpdatedAt)
		return err
	})
	return e, err
}

// endpoint that is not deleted, or app.ErrNoWebhookEndpoint.
func endpoint(ctx context.Context, q postgres.Querier, id uuid.UUID, lock string) (app.WebhookEndpoint, error) {
	rows, err := q.Query(ctx, "SELECT "+endpointColumns+" FROM webhook_endpoints WHERE id = $1 AND status <> 'deleted'"+lock, id)
	if err != nil {
		return app.WebhookEndpoint{}, err
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanEndpoint)
	if errors.Is(err, pgx.ErrNoRows) {
		err = app.ErrNoWebhookEndpoint
	}
	return e, err
}

// scanEndpoint reads endpointColumns.
func scanEndpoint(row pgx.CollectableRow) (e app.WebhookEndpoint, err error) {
	err = row.Scan(&e.ID, &e.Version, &e.URL, &e.Events, &e.Description, &e.Status, &e.Reason, &e.FailingSince, &e.CreatedAt, &e.UpdatedAt)
	e.CreatedAt, e.UpdatedAt, e.FailingSince = e.CreatedAt.UTC(), e.UpdatedAt.UTC(), whole(e.FailingSince)
	return e, err
}

// whole is what JSON shows of a time of the database's clock.
func whole(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	ms := t.UTC().Truncate(time.Millisecond)
	return &ms
}
