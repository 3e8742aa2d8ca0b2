package store

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"souk/services/orders/app"
)

// queueEvents stores the news of orders. That a version is there already is refused by the primary key: two can't both
// have made an order's next event.
func queueEvents(b *pgx.Batch, orders ...*app.Order) error {
	var ids []uuid.UUID
	var versions []int64
	var kinds, data []string
	var at []time.Time
	for _, o := range orders {
		for _, e := range o.News() {
			raw, err := json.Marshal(e.Fact)
			if err != nil {
				return err
			}
			ids, versions, kinds = append(ids, e.Order), append(versions, e.Version), append(kinds, e.Fact.Kind())
			at, data = append(at, e.At), append(data, string(raw))
		}
	}
	if len(ids) > 0 {
		b.Queue(`INSERT INTO order_events (stream_id, version, kind, at, data)
			SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[], $5::json[])`, ids, versions, kinds, at, data)
	}
	return nil
}

const updateOrdersSQL = `UPDATE orders o SET (version, status, reason, settled, stock, payment, stock_asked, payment_asked, captured, refunded,
		intent, refund, asking, lines, confirmed_at, updated_at, due_at, attempts)
	= (n.version, n.status, n.reason, n.settled, n.stock, n.payment, n.stock_asked, n.payment_asked, n.captured, n.refunded,
		n.intent, n.refund, n.asking, coalesce(n.lines, o.lines), n.confirmed_at, n.updated_at, n.due_at, n.attempts)
	FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::boolean[], $7::text[], $8::text[], $9::text[], $10::text[],
		$11::bigint[], $12::bigint[], $13::text[], $14::uuid[], $15::bigint[], $16::json[], $17::timestamptz[], $18::timestamptz[], $19::timestamptz[], $20::int[])
	AS n(id, before, version, status, reason, settled, stock, payment, stock_asked, payment_asked,
		captured, refunded, intent, refund, asking, lines, confirmed_at, updated_at, due_at, attempts)
	WHERE o.id = n.id AND o.version = n.before`

// queueUpdate brings the rows of orders to what they have become.
func queueUpdate(b *pgx.Batch, orders ...*app.Order) error {
	n := len(orders)
	ids, refunds := make([]uuid.UUID, n), make([]uuid.UUID, n)
	before, version, captured, refunded, asking := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	status, reason, stock, payment, stockAsked, paymentAsked, intents := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	settled, lines, attempts := make([]bool, n), make([]*string, n), make([]int, n)
	confirmed, updated, due := make([]*time.Time, n), make([]time.Time, n), make([]time.Time, n)
	for i, o := range orders {
		ids[i], before[i], version[i], settled[i] = o.ID, o.Version-int64(len(o.News())), o.Version, o.Settled()
		status[i], reason[i], stock[i], payment[i] = string(o.Status), o.Reason, string(o.Stock), string(o.Payment)
		stockAsked[i], paymentAsked[i], captured[i], refunded[i] = string(o.StockAsked), string(o.PaymentAsked), o.Captured, o.Refunded
		intents[i], refunds[i], asking[i] = o.Intent, o.Refund, o.Asking
		confirmed[i], updated[i], due[i], attempts[i] = timeOrNull(o.ConfirmedAt), o.UpdatedAt, o.DueAt, o.Attempts
		if changesLines(o) {
			raw, err := json.Marshal(o.Lines)
			if err != nil {
				return err
			}
			text := string(raw)
			lines[i] = &text
		}
	}
	b.Queue(updateOrdersSQL, ids, before, version, status, reason, settled, stock, payment, stockAsked, paymentAsked,
		captured, refunded, intents, refunds, asking, lines, confirmed, updated, due, attempts).Exec(func(tag pgconn.CommandTag) error {
		if int(tag.RowsAffected()) != n {
			return fmt.Errorf("%d of %d orders are not in the version that was read", n-int(tag.RowsAffected()), n)
		}
		return nil
	})
	return nil
}

// changesLines: only a handing-over does, and it is rare.
func changesLines(o *app.Order) bool {
	for _, e := range o.News() {
		if _, ok := e.Fact.(app.Fulfilled); ok {
			return true
		}
	}
	return false
}

// save stores what has become of orders that are locked by tx: their news, their rows, and what goes out. Those that have
// neither gained events nor sent anything are left alone.
func save(ctx context.Context, tx pgx.Tx, orders []*app.Order) error {
	changed := orders[:0:0]
	for _, o := range orders {
		if len(o.News()) > 0 || len(o.Messages()) > 0 {
			changed = append(changed, o)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	if err := queueEvents(b, changed...); err != nil {
		return err
	}
	if err := queueUpdate(b, changed...); err != nil {
		return err
	}
	if err := queueMessages(ctx, b, changed...); err != nil {
		return err
	}
	return tx.SendBatch(ctx, b).Close()
}
