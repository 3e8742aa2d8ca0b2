package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/money"
	"souk/internal/postgres"
	"souk/services/payments/app"
)

// Intent implements app.Store.
func (s *Store) Intent(ctx context.Context, id uuid.UUID) (app.Intent, error) {
	i, err := one(ctx, s.pool, scanIntent, "SELECT "+intentColumns+" FROM intents WHERE id = $1", id)
	return i, notFound(err, app.ErrNotFound.Code, app.ErrNotFound.Detail)
}

// IntentOfOrder implements app.Store.
func (s *Store) IntentOfOrder(ctx context.Context, order uuid.UUID) (app.Intent, error) {
	i, err := one(ctx, s.pool, scanIntent, "SELECT "+intentColumns+" FROM intents WHERE order_id = $1", order)
	return i, notFound(err, app.ErrNotFound.Code, app.ErrNotFound.Detail)
}

// Refund implements app.Store.
func (s *Store) Refund(ctx context.Context, id uuid.UUID) (app.Refund, error) {
	r, err := one(ctx, s.pool, scanRefund, "SELECT "+refundColumns+" FROM refunds WHERE id = $1", id)
	return r, notFound(err, app.ErrRefundNotFound.Code, app.ErrRefundNotFound.Detail)
}

func notFound(err error, code, detail string) error { return postgres.NotFound(err, code, detail) }

// Refunds implements app.Store.
func (s *Store) Refunds(ctx context.Context, intent, before uuid.UUID, limit int) (refunds []app.Refund, err error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	return many(ctx, s.pool, func(row pgx.CollectableRow) (app.Refund, error) {
		r, err := scanRefund(row)
		return *r, err
	}, "SELECT "+refundColumns+" FROM refunds WHERE intent_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3", intent, before, limit)
}

// Positions implements app.Store.
func (s *Store) Positions(ctx context.Context, after uuid.UUID, limit int) ([]app.Position, error) {
	return many(ctx, s.pool, func(row pgx.CollectableRow) (p app.Position, err error) {
		var i app.Intent
		var ledgerCaptured, ledgerRefunded int64
		err = row.Scan(&i.ID, &i.OrderID, &i.Status, &i.Provider, &i.Method, &i.ProviderRef, &i.Currency, &i.Amount, &i.Captured, &i.Refunded, &i.UpdatedAt,
			&ledgerCaptured, &ledgerRefunded)
		amount := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: i.Currency} }
		p = app.Position{
			OrderID: i.OrderID, IntentID: i.ID, Status: i.Status, Captured: amount(i.Captured), Refunded: amount(i.Refunded),
			LedgerCaptured: amount(ledgerCaptured), LedgerRefunded: amount(ledgerRefunded), ChangedAt: i.UpdatedAt.UTC(),
			Authorised: amount(0), Voided: amount(0), ProviderCaptured: amount(0), ProviderRefunded: amount(0), ProviderHeld: amount(0),
			Provider: i.Provider, Ask: i.Request(app.OperationKey{IntentID: i.ID, Kind: app.OpAuthorise}, i.Amount, ""),
		}
		if i.ProviderRef != "" {
			p.Authorised = amount(i.Amount)
			if i.Status == app.IsVoided {
				p.Voided = amount(i.Amount)
			}
		}
		return p, err
	}, `SELECT i.id, i.order_id, i.status, i.provider, i.method, i.provider_ref, i.currency, i.amount, i.captured, i.refunded, i.updated_at,
			coalesce(l.captured, 0)::bigint, coalesce(l.refunded, 0)::bigint
		FROM intents i LEFT JOIN LATERAL (
			SELECT sum(amount) FILTER (WHERE kind = 'capture') AS captured, sum(amount) FILTER (WHERE kind = 'refund') AS refunded
			FROM ledger WHERE intent_id = i.id) l ON true
		WHERE i.order_id > $1 AND i.currency <> '' ORDER BY i.order_id LIMIT $2`, after, limit)
}

// Balance implements app.Store.
func (s *Store) Balance(ctx context.Context) ([]app.Balance, error) {
	return many(ctx, s.pool, func(row pgx.CollectableRow) (b app.Balance, err error) {
		err = row.Scan(&b.Currency, &b.Sum, &b.Captured, &b.Refunded, &b.Intents)
		b.Books = b.Captured - b.Refunded
		return b, err
	}, `WITH books AS (
			SELECT currency, sum(amount) FILTER (WHERE kind = 'capture') AS captured, sum(amount) FILTER (WHERE kind = 'refund') AS refunded
			FROM ledger GROUP BY currency),
		entries AS (SELECT currency, sum(amount) AS sum FROM ledger_entries GROUP BY currency),
		payments AS (SELECT currency, sum(captured - refunded) AS net FROM intents WHERE captured > 0 GROUP BY currency)
		SELECT currency, coalesce(sum, 0)::bigint, coalesce(captured, 0)::bigint, coalesce(refunded, 0)::bigint, coalesce(net, 0)::bigint
		FROM books FULL JOIN entries USING (currency) FULL JOIN payments USING (currency) ORDER BY currency`)
}

// one is the row that the query finds, or pgx.ErrNoRows.
func one[T any](ctx context.Context, p *postgres.Pool, scan pgx.RowToFunc[*T], sql string, args ...any) (found T, err error) {
	err = postgres.Read(ctx, p, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		row, err := pgx.CollectExactlyOneRow(rows, scan)
		if err == nil {
			found = *row
		}
		return err
	})
	return found, err
}

// many are the rows that the query finds.
func many[T any](ctx context.Context, p *postgres.Pool, scan pgx.RowToFunc[T], sql string, args ...any) (found []T, err error) {
	err = postgres.Read(ctx, p, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, scan)
		return err
	})
	return found, err
}
