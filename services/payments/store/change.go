package store

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/payments/app"
)

// Change implements app.Store.
func (s *Store) Change(ctx context.Context, sel app.Selection, move func(*app.Set) error) (set *app.Set, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		set, err = s.ChangeIn(ctx, tx, sel, move)
		return err
	})
	if err != nil {
		return nil, err
	}
	return set, nil
}

// ChangeIn is Change within a transaction: that of the inbox, of an idempotency key, of a notice.
func (s *Store) ChangeIn(ctx context.Context, tx pgx.Tx, sel app.Selection, move func(*app.Set) error) (*app.Set, error) {
	intents, refunds, err := lock(ctx, tx, sel)
	if err != nil {
		return nil, err
	}
	set := app.NewSet(time.Now(), intents, refunds)
	if err := move(set); err != nil {
		return nil, err
	}
	return set, s.write(ctx, tx, set)
}

const intentColumns = `id, order_id, user_id, version, status, capture_method, provider, method, reference, provider_ref, currency, amount, captured,
	refunded, refunding, reason, void_wanted, deadline, created_at, updated_at`

const refundColumns = "id, intent_id, currency, amount, reason, status, failure, provider_ref, created_at, updated_at"

// lock reads what is selected and keeps others from changing it, always in the same order, so that no two transactions
// wait for each other. The refunds are those of the intents, whose lock guards them, and so read after it.
func lock(ctx context.Context, tx pgx.Tx, sel app.Selection) (intents []*app.Intent, refunds []*app.Refund, err error) {
	if len(sel.Orders)+len(sel.Intents) == 0 {
		return nil, nil, nil
	}
	batch := &pgx.Batch{}
	where, ids := "order_id", sel.Orders
	if len(sel.Orders) == 0 {
		where, ids = "id", sel.Intents
	}
	batch.Queue("SELECT "+intentColumns+" FROM intents WHERE "+where+" = ANY($1) ORDER BY "+where+" FOR NO KEY UPDATE", unique(ids)).Query(func(rows pgx.Rows) error {
		intents, err = pgx.CollectRows(rows, scanIntent)
		return err
	})
	if len(sel.Refunds) > 0 {
		batch.Queue("SELECT "+refundColumns+" FROM refunds WHERE id = ANY($1)", unique(sel.Refunds)).Query(func(rows pgx.Rows) error {
			refunds, err = pgx.CollectRows(rows, scanRefund)
			return err
		})
	}
	return intents, refunds, tx.SendBatch(ctx, batch).Close()
}

// unique is the ids in order, each once, in the type that pgx encodes with the least work.
func unique(ids []uuid.UUID) [][16]byte {
	plain := make([][16]byte, len(ids))
	for k, id := range ids {
		plain[k] = id
	}
	slices.SortFunc(plain, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(plain)
}

func scanIntent(row pgx.CollectableRow) (*app.Intent, error) {
	var i app.Intent
	var order, user *uuid.UUID
	var deadline *time.Time
	err := row.Scan(&i.ID, &order, &user, &i.Version, &i.Status, &i.CaptureMethod, &i.Provider, &i.Method, &i.Reference, &i.ProviderRef, &i.Currency, &i.Amount,
		&i.Captured, &i.Refunded, &i.Refunding, &i.Reason, &i.VoidWanted, &deadline, &i.CreatedAt, &i.UpdatedAt)
	if order != nil {
		i.OrderID = *order
	}
	if user != nil {
		i.UserID = *user
	}
	if deadline != nil {
		i.Deadline = deadline.UTC()
	}
	i.CreatedAt, i.UpdatedAt = i.CreatedAt.UTC(), i.UpdatedAt.UTC()
	return &i, err
}

func scanRefund(row pgx.CollectableRow) (*app.Refund, error) {
	var r app.Refund
	err := row.Scan(&r.ID, &r.IntentID, &r.Amount.Currency, &r.Amount.Minor, &r.Reason, &r.Status, &r.Failure, &r.ProviderRef, &r.CreatedAt, &r.UpdatedAt)
	r.CreatedAt, r.UpdatedAt = r.CreatedAt.UTC(), r.UpdatedAt.UTC()
	return &r, err
}
