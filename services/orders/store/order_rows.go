package store

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/orders/app"
)

const orderColumns = `o.id, o.number, o.version, o.user_id, o.status, o.reason, o.stock, o.payment, o.stock_asked, o.payment_asked,
	o.currency, o.total, o.captured, o.refunded, o.intent, o.refund, o.asking, o.method, o.lines, o.placed_at, o.confirmed_at, o.updated_at, o.due_at, o.attempts`

// scanOrder reads orderColumns, and what follows them into more.
func scanOrder(row pgx.CollectableRow, more ...any) (*app.Order, error) {
	o := &app.Order{}
	var lines []byte
	var confirmed *time.Time
	err := row.Scan(append([]any{
		&o.ID, &o.Number, &o.Version, &o.User, &o.Status, &o.Reason, &o.Stock, &o.Payment, &o.StockAsked, &o.PaymentAsked,
		&o.Currency, &o.Total, &o.Captured, &o.Refunded, &o.Intent, &o.Refund, &o.Asking, &o.Method, &lines, &o.PlacedAt, &confirmed, &o.UpdatedAt, &o.DueAt, &o.Attempts,
	}, more...)...)
	if err != nil {
		return nil, err
	}
	if confirmed != nil {
		o.ConfirmedAt = confirmed.UTC()
	}
	o.PlacedAt, o.UpdatedAt, o.DueAt = o.PlacedAt.UTC(), o.UpdatedAt.UTC(), o.DueAt.UTC()
	if err := json.Unmarshal(lines, &o.Lines); err != nil {
		return nil, fmt.Errorf("lines of order %s: %w", o.ID, err)
	}
	return o, nil
}

// ordersWhere collects what "SELECT orderColumns FROM orders o" finds with the rest of the statement.
func ordersWhere(ctx context.Context, q postgres.Querier, rest string, args ...any) ([]*app.Order, error) {
	rows, err := q.Query(ctx, "SELECT "+orderColumns+" FROM orders o "+rest, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*app.Order, error) { return scanOrder(row) })
}

const insertOrderSQL = `INSERT INTO orders (id, number, version, user_id, status, reason, stock, payment, stock_asked, payment_asked,
		currency, total, captured, refunded, intent, refund, asking, method, lines, placed_at, confirmed_at, updated_at, due_at, attempts, settled)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)`

// replaceOrderSQL puts a row in the place of one that is there already.
const replaceOrderSQL = insertOrderSQL + ` ON CONFLICT (id) DO UPDATE SET (number, version, user_id, status, reason, stock, payment, stock_asked, payment_asked,
		currency, total, captured, refunded, intent, refund, asking, method, lines, placed_at, confirmed_at, updated_at, due_at, attempts, settled)
	= (EXCLUDED.number, EXCLUDED.version, EXCLUDED.user_id, EXCLUDED.status, EXCLUDED.reason, EXCLUDED.stock, EXCLUDED.payment, EXCLUDED.stock_asked, EXCLUDED.payment_asked,
		EXCLUDED.currency, EXCLUDED.total, EXCLUDED.captured, EXCLUDED.refunded, EXCLUDED.intent, EXCLUDED.refund, EXCLUDED.asking, EXCLUDED.method, EXCLUDED.lines,
		EXCLUDED.placed_at, EXCLUDED.confirmed_at, EXCLUDED.updated_at, EXCLUDED.due_at, EXCLUDED.attempts, EXCLUDED.settled)`

// rowOf are the arguments of insertOrderSQL.
func rowOf(o *app.Order) ([]any, error) {
	lines, err := json.Marshal(o.Lines)
	if err != nil {
		return nil, err
	}
	return []any{
		o.ID, o.Number, o.Version, o.User, string(o.Status), o.Reason, string(o.Stock), string(o.Payment), string(o.StockAsked), string(o.PaymentAsked),
		o.Currency, o.Total, o.Captured, o.Refunded, o.Intent, o.Refund, o.Asking, o.Method, lines, o.PlacedAt, timeOrNull(o.ConfirmedAt), o.UpdatedAt, o.DueAt, o.Attempts, o.Settled(),
	}, nil
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
