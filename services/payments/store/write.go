package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"souk/internal/outbox"
	"souk/services/payments/app"
)

// write stores a set with the effects of its moves: one statement a table, all of them in one round trip. The events
// come last (see internal/outbox about the order).
func (s *Store) write(ctx context.Context, tx pgx.Tx, set *app.Set) error {
	batch := &pgx.Batch{}
	queueIntents(batch, set.Intents)
	queueRefunds(batch, set.Refunds)
	var start []app.Operation
	var end []app.OperationKey
	var postings []app.Posting
	var events []app.Event
	for _, i := range set.Intents {
		start, end = append(start, i.Start...), append(end, i.End...)
		postings, events = append(postings, i.Postings...), append(events, i.Events...)
	}
	queueEnd(batch, end)
	s.queueStart(batch, start)
	queuePostings(batch, postings)
	messages, err := encode(events)
	if err == nil {
		err = outbox.Queue(ctx, batch, messages...)
	}
	if err != nil || batch.Len() == 0 {
		return err
	}
	return tx.SendBatch(ctx, batch).Close()
}

// exactly is an error unless a statement touched so many rows.
func exactly(n int) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(n) {
			return fmt.Errorf("%s touched %d rows instead of %d", tag.String(), tag.RowsAffected(), n)
		}
		return nil
	}
}

// queueIntents inserts those that are new and updates those that have changed.
func queueIntents(batch *pgx.Batch, intents []*app.Intent) {
	var fresh, known []*app.Intent
	for _, i := range intents {
		switch {
		case i.Created():
			fresh = append(fresh, i)
		case i.Moved():
			known = append(known, i)
		}
	}
	if n := len(fresh); n > 0 {
		c := newColumns(fresh)
		batch.Queue(`INSERT INTO intents (`+intentColumns+`)
			SELECT id, NULLIF(order_id, $21), NULLIF(user_id, $21), version, status, capture_method, provider, method, reference, provider_ref, currency, amount,
				captured, refunded, refunding, reason, void_wanted, deadline, created_at, updated_at
			FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
				$12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::text[], $17::text[], $18::timestamptz[], $19::timestamptz[], $20::timestamptz[])
				AS n (id, order_id, user_id, version, status, capture_method, provider, method, reference, provider_ref, currency, amount,
				captured, refunded, refunding, reason, void_wanted, deadline, created_at, updated_at)`,
			c.id, c.order, c.user, c.version, c.status, c.captureMethod, c.provider, c.method, c.reference, c.providerRef, c.currency, c.amount,
			c.captured, c.refunded, c.refunding, c.reason, c.voidWanted, c.deadline, c.created, c.updated, uuid.Nil).Exec(exactly(n))
	}
	if n := len(known); n > 0 {
		c := newColumns(known)
		batch.Queue(`UPDATE intents i SET version = n.version, status = n.status, method = n.method, provider_ref = n.provider_ref, captured = n.captured,
				refunded = n.refunded, refunding = n.refunding, reason = n.reason, void_wanted = n.void_wanted, updated_at = n.updated_at
			FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::timestamptz[])
				AS n (id, version, status, method, provider_ref, captured, refunded, refunding, reason, void_wanted, updated_at)
			WHERE i.id = n.id AND i.version = n.version - 1`,
			c.id, c.version, c.status, c.method, c.providerRef, c.captured, c.refunded, c.refunding, c.reason, c.voidWanted, c.updated).Exec(exactly(n))
	}
}

// columns of intents, as arrays.
type columns struct {
	id, order, user                                [][16]byte
	version, amount, captured, refunded, refunding []int64
	status, captureMethod, provider, method        []string
	reference, providerRef, currency, reason       []string
	voidWanted                                     []string
	deadline                                       []*time.Time
	created, updated                               []time.Time
}

func newColumns(intents []*app.Intent) (c columns) {
	for _, i := range intents {
		var deadline *time.Time
		if !i.Deadline.IsZero() {
			deadline = &i.Deadline
		}
		c.id, c.order, c.user = append(c.id, i.ID), append(c.order, i.OrderID), append(c.user, i.UserID)
		c.version, c.amount = append(c.version, i.Version), append(c.amount, i.Amount)
		c.captured, c.refunded, c.refunding = append(c.captured, i.Captured), append(c.refunded, i.Refunded), append(c.refunding, i.Refunding)
		c.status, c.captureMethod = append(c.status, string(i.Status)), append(c.captureMethod, i.CaptureMethod)
		c.provider, c.method = append(c.provider, i.Provider), append(c.method, i.Method)
		c.reference, c.providerRef = append(c.reference, i.Reference), append(c.providerRef, i.ProviderRef)
		c.currency, c.reason, c.voidWanted = append(c.currency, i.Currency), append(c.reason, i.Reason), append(c.voidWanted, i.VoidWanted)
		c.deadline, c.created, c.updated = append(c.deadline, deadline), append(c.created, i.CreatedAt), append(c.updated, i.UpdatedAt)
	}
	return c
}

func queueRefunds(batch *pgx.Batch, refunds map[uuid.UUID]*app.Refund) {
	for _, r := range refunds { // few: refunds are not what a shop lives on
		switch changed, created := r.Changed(); {
		case created:
			batch.Queue("INSERT INTO refunds ("+refundColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
				r.ID, r.IntentID, r.Amount.Currency, r.Amount.Minor, r.Reason, string(r.Status), r.Failure, r.ProviderRef, r.CreatedAt, r.UpdatedAt)
		case changed:
			batch.Queue("UPDATE refunds SET status = $2, failure = $3, provider_ref = $4, updated_at = $5 WHERE id = $1 AND status = 'pending'",
				r.ID, string(r.Status), r.Failure, r.ProviderRef, r.UpdatedAt).Exec(exactly(1))
		}
	}
}

func queuePostings(batch *pgx.Batch, postings []app.Posting) {
	n := len(postings)
	if n == 0 {
		return
	}
	intents, refunds, amounts := make([][16]byte, n), make([][16]byte, n), make([]int64, n)
	kinds, debits, credits, currencies := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for k, p := range postings {
		intents[k], refunds[k], amounts[k] = p.IntentID, p.RefundID, p.Amount
		kinds[k], debits[k], credits[k], currencies[k] = string(p.Kind), p.Debit, p.Credit, p.Currency
	}
	batch.Queue(`INSERT INTO ledger (intent_id, kind, refund_id, debit, credit, amount, currency)
		SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::text[])`,
		intents, kinds, refunds, debits, credits, amounts, currencies).Exec(exactly(n))
}
