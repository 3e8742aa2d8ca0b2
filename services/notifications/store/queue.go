package store

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/notifications/app"
)

// Queue adds mails in the transaction that notes their events as done. One that is there already stays as it is.
func (s *Store) Queue(ctx context.Context, tx pgx.Tx, mails []app.Mail) error {
	n := len(mails)
	ids, kinds, users, subjects := make([]uuid.UUID, n), make([]string, n), make([]*uuid.UUID, n), make([]uuid.UUID, n)
	orders, times, traces := make([]*string, n), make([]time.Time, n), make([]string, n)
	for i, m := range mails {
		ids[i], kinds[i], subjects[i], times[i], traces[i] = m.ID, string(m.Kind), m.Subject, m.RequestedAt, m.Traceparent
		if m.User != uuid.Nil {
			users[i] = &m.User
		}
		if m.Order != nil {
			text, err := json.Marshal(m.Order)
			if err != nil {
				return err
			}
			order := string(text)
			orders[i] = &order
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO mails (id, kind, user_id, subject_id, order_data, requested_at, traceparent)
		SELECT id, kind, user_id, subject_id, order_data::jsonb, requested_at, traceparent
		FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[])
			AS m (id, kind, user_id, subject_id, order_data, requested_at, traceparent)
		ON CONFLICT (id) DO NOTHING`, ids, kinds, users, subjects, orders, times, traces)
	return err
}

// Erase drops the mails of a user that are queued, and forgets whose the others were: ids, kinds and times stay. One
// that is being handed over at the moment may still go out. Files lists them all for their files to be deleted.
func (s *Store) Erase(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	_, err := tx.Exec(ctx, `UPDATE mails SET user_id = NULL, order_data = NULL, erased_at = now(), lease = NULL,
		reason = CASE status WHEN 'queued' THEN 'erased' ELSE reason END,
		finished_at = coalesce(finished_at, now()),
		status = CASE status WHEN 'queued' THEN 'dropped' ELSE status END
		WHERE user_id = $1`, user)
	return err
}

// Erased lists the mails that were erased within the given time.
func (s *Store) Erased(ctx context.Context, within time.Duration) (mails []app.Mail, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, "SELECT id, kind, requested_at FROM mails WHERE erased_at > now() - $1::interval", within)
		if err != nil {
			return err
		}
		mails, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m app.Mail, err error) {
			err = row.Scan(&m.ID, &m.Kind, &m.RequestedAt)
			m.RequestedAt = m.RequestedAt.UTC()
			return m, err
		})
		return err
	})
	return mails, err
}

// Known are those of the ids whose mails are in the log and not erased: their files may stay.
func (s *Store) Known(ctx context.Context, ids []uuid.UUID) (known map[uuid.UUID]bool, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, "SELECT id FROM mails WHERE id = ANY($1) AND erased_at IS NULL", ids)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		known = make(map[uuid.UUID]bool, len(found))
		for _, id := range found {
			known[id] = true
		}
		return err
	})
	return known, err
}
