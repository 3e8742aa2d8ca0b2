package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// awaitOrders waits until every order of a run has come to its end, all of its money and stock where they belong.
func (a *app) awaitOrders(ctx context.Context, run *orderRun) error {
	if len(run.placed) == 0 {
		if run.first != nil {
			return fmt.Errorf("no order could be placed: %w", run.first)
		}
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	return withDatabase(ctx, "orders", func(db *pgx.Conn) error {
		for {
			var open int
			if err := db.QueryRow(ctx, `SELECT count(*) FROM orders WHERE NOT settled AND id = ANY($1::uuid[])`, run.placed).Scan(&open); err != nil {
				return err
			}
			if open == 0 {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%d orders have not come to an end %s after the last was placed", open, settleLimit)
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
}

// orderEnds is what became of the orders of a run.
type orderEnds struct {
	confirmed []time.Duration // from the order's placement until then
	span      time.Duration   // from the first placement to the last confirmation
	others    int
	reasons   map[string]int // "failed payment_declined"
}

func (a *app) orderEnds(ctx context.Context, run *orderRun) (ends orderEnds, err error) {
	ends.reasons = map[string]int{}
	err = withDatabase(ctx, "orders", func(db *pgx.Conn) error {
		rows, err := db.Query(ctx, `SELECT status, reason, placed_at, confirmed_at FROM orders WHERE id = ANY($1::uuid[])`, run.placed)
		if err != nil {
			return err
		}
		var status, reason string
		var placed, first, last time.Time
		var confirmed *time.Time
		_, err = pgx.ForEachRow(rows, []any{&status, &reason, &placed, &confirmed}, func() error {
			if first.IsZero() || placed.Before(first) {
				first = placed
			}
			if status != "confirmed" || confirmed == nil {
				ends.others++
				ends.reasons[status+" "+reason]++
				return nil
			}
			if confirmed.After(last) {
				last = *confirmed
			}
			ends.confirmed = append(ends.confirmed, confirmed.Sub(placed))
			return nil
		})
		ends.span = last.Sub(first)
		return err
	})
	if missing := len(run.placed) - len(ends.confirmed) - ends.others; err == nil && missing > 0 {
		err = fmt.Errorf("%d acknowledged orders are missing", missing)
	}
	return ends, err
}
