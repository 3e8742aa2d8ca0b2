package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/money"
	"souk/internal/postgres"
	"souk/services/payments/app"
)

func (s *Store) queueStart(batch *pgx.Batch, operations []app.Operation) {
	n := len(operations)
	if n == 0 {
		return
	}
	intents, refunds, amounts := make([][16]byte, n), make([][16]byte, n), make([]int64, n)
	kinds, reasons, traces := make([]string, n), make([]string, n), make([]string, n)
	for k, op := range operations {
		intents[k], refunds[k], amounts[k] = op.IntentID, op.RefundID, op.Request.Amount.Minor
		kinds[k], reasons[k], traces[k] = string(op.Kind), op.Request.Reason, op.Traceparent
	}
	batch.Queue(`INSERT INTO operations (intent_id, kind, refund_id, amount, reason, traceparent, due_at)
		SELECT n.*, now() + $7 FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::text[], $6::text[]) AS n`,
		intents, kinds, refunds, amounts, reasons, traces, s.Lease).Exec(exactly(n))
}

func queueEnd(batch *pgx.Batch, keys []app.OperationKey) {
	if len(keys) > 0 {
		intents, kinds, refunds := operationKeys(keys)
		batch.Queue(`DELETE FROM operations o USING unnest($1::uuid[], $2::text[], $3::uuid[]) AS k (intent_id, kind, refund_id)
			WHERE o.intent_id = k.intent_id AND o.kind = k.kind AND o.refund_id = k.refund_id`, intents, kinds, refunds)
	}
}

func operationKeys(keys []app.OperationKey) (intents [][16]byte, kinds []string, refunds [][16]byte) {
	for _, k := range keys {
		intents, kinds, refunds = append(intents, k.IntentID), append(kinds, string(k.Kind)), append(refunds, k.RefundID)
	}
	return intents, kinds, refunds
}

// Claim implements app.Store.
func (s *Store) Claim(ctx context.Context, limit int) (all []app.Operation, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `WITH claimed AS (
				UPDATE operations SET due_at = now() + $2, attempts = attempts + 1 WHERE (intent_id, kind, refund_id) IN (
					SELECT intent_id, kind, refund_id FROM operations WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
				RETURNING intent_id, kind, refund_id, amount, reason, attempts, asked, traceparent)
			SELECT c.kind, c.refund_id, c.amount, c.reason, c.attempts, c.asked, c.traceparent,
				i.id, i.order_id, i.provider, i.method, i.currency, i.provider_ref, i.deadline
			FROM claimed c JOIN intents i ON i.id = c.intent_id`, limit, s.Lease)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scanOperation)
		return err
	})
	return all, err
}

func scanOperation(row pgx.CollectableRow) (op app.Operation, err error) {
	var i app.Intent
	var order *uuid.UUID
	var deadline *time.Time
	var amount int64
	var reason string
	err = row.Scan(&op.Kind, &op.RefundID, &amount, &reason, &op.Attempts, &op.Asked, &op.Traceparent,
		&i.ID, &order, &i.Provider, &i.Method, &i.Currency, &i.ProviderRef, &deadline)
	if err != nil {
		return op, err
	}
	if order != nil {
		i.OrderID = *order
	}
	if deadline != nil && op.Kind == app.OpAuthorise {
		op.Deadline = deadline.UTC()
	}
	op.IntentID, op.Provider = i.ID, i.Provider
	op.Request = i.Request(op.OperationKey, amount, reason)
	op.Request.Amount = money.Amount{Minor: amount, Currency: i.Currency}
	return op, nil
}

// Postpone implements app.Store.
func (s *Store) Postpone(ctx context.Context, all []app.Postponed) error {
	keys, until, asked := make([]app.OperationKey, len(all)), make([]time.Time, len(all)), make([]bool, len(all))
	for k, p := range all {
		keys[k], until[k], asked[k] = p.OperationKey, p.Until, p.Asked
	}
	intents, kinds, refunds := operationKeys(keys)
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE operations o SET due_at = p.until, asked = p.asked
			FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[], $5::boolean[]) AS p (intent_id, kind, refund_id, until, asked)
			WHERE o.intent_id = p.intent_id AND o.kind = p.kind AND o.refund_id = p.refund_id`, intents, kinds, refunds, until, asked)
		return err
	})
}
