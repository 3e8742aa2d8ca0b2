package sandbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
)

const (
	linger   = 3 * time.Millisecond // that the first call of a batch waits for others
	maxBatch = 500
)

// keep writes calls into the books, many in one statement, until ctx ends.
func (b *Bank) keep(ctx context.Context) {
	for {
		var batch []*call
		select {
		case <-ctx.Done():
			return
		case c := <-b.calls:
			batch = append(batch, c)
		}
		timer := time.NewTimer(linger)
		for more := true; more && len(batch) < maxBatch; {
			select {
			case c := <-b.calls:
				batch = append(batch, c)
			case <-timer.C:
				more = false
			}
		}
		timer.Stop()
		b.settle(ctx, batch)
	}
}

// settle answers calls when they are in the books, or with an error, after which they may be there or not.
func (b *Bank) settle(ctx context.Context, batch []*call) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := b.again(ctx, func() error { return b.book(ctx, batch) })
	for _, c := range batch {
		if err != nil {
			c.err = fmt.Errorf("sandbox: %w", err)
		}
		close(c.done)
	}
}

// again repeats f while another instance has written about the same payments meanwhile.
func (b *Bank) again(ctx context.Context, f func() error) error {
	for attempt := 0; ; attempt++ {
		err := f()
		if err == nil || attempt == 20 || ctx.Err() != nil || !postgres.Violates(err, "sandbox_entries_pkey") {
			return err
		}
	}
}

func (b *Bank) book(ctx context.Context, batch []*call) error {
	ids := make([]uuid.UUID, len(batch))
	for i, c := range batch {
		ids[i] = c.request.IntentID
	}
	books, err := b.read(ctx, ids)
	if err != nil {
		return err
	}
	var made []entry
	late := time.Now().Add(b.Late)
	for _, c := range batch {
		var e *entry
		c.result, e, c.err = books[c.request.IntentID].answer(c, late)
		if e != nil {
			made = append(made, *e)
		}
	}
	return b.write(ctx, made)
}

// read gives the payments with these ids, new ones too.
func (b *Bank) read(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*payment, error) {
	books := make(map[uuid.UUID]*payment, len(ids))
	plain := make([][16]byte, len(ids)) // what pgx encodes with the least work
	for i, id := range ids {
		books[id], plain[i] = &payment{id: id}, id
	}
	rows, err := b.pool.Query(ctx, `SELECT payment, seq, operation, kind, outcome, amount, currency, reason FROM sandbox_entries
		WHERE payment = ANY($1) ORDER BY payment, seq`, plain)
	if err != nil {
		return nil, err
	}
	var e entry
	_, err = pgx.ForEachRow(rows, []any{&e.payment, &e.seq, &e.operation, &e.kind, &e.outcome, &e.amount, &e.currency, &e.reason}, func() error {
		books[e.payment].add(e)
		return nil
	})
	return books, err
}

// write is one statement, and so takes effect whole or not at all.
func (b *Bank) write(ctx context.Context, made []entry) error {
	n := len(made)
	if n == 0 {
		return nil
	}
	payments, seqs, amounts, notify := make([][16]byte, n), make([]int32, n), make([]int64, n), make([]*time.Time, n)
	operations, kinds, outcomes, currencies, reasons := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, e := range made {
		payments[i], seqs[i], amounts[i], notify[i] = e.payment, e.seq, e.amount, e.notifyAt
		operations[i], kinds[i], outcomes[i], currencies[i], reasons[i] = e.operation, string(e.kind), string(e.outcome), e.currency, e.reason
	}
	_, err := b.pool.Exec(ctx, `INSERT INTO sandbox_entries (payment, seq, operation, kind, outcome, amount, currency, reason, notify_at)
		SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::timestamptz[])`,
		payments, seqs, operations, kinds, outcomes, amounts, currencies, reasons, notify)
	return err
}
