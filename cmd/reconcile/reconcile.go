package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// settling is how long before the run an order must have been left alone to be compared. What changes while the run
// reads is left out by the same rule, as one of the services then says so; the minute is also more than clocks differ.
const settling = time.Minute

// books are the services that keep them.
type books struct{ orders, inventory, payments *service }

// reconcile reads all three side by side, in the order of the orders' ids, holding a page of each.
func reconcile(ctx context.Context, b books, now time.Time) (*Report, error) {
	r := newReport(now)
	orders, reservations, payments := walk[order](b.orders), walk[reservation](b.inventory), walk[payment](b.payments)
	for {
		id, more, err := first(ctx, orders.peek, reservations.peek, payments.peek)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		var e entry
		var errs [3]error
		e.orders, errs[0] = orders.take(ctx, id)
		e.reservations, errs[1] = reservations.take(ctx, id)
		e.payments, errs[2] = payments.take(ctx, id)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
		r.count(e)
		if e.changedSince(now.Add(-settling)) {
			r.InFlight++
			continue
		}
		for _, f := range compare(e) {
			r.add(Difference{Kind: f.kind, Order: &id, Detail: f.detail})
		}
	}
	return r, wholes(ctx, b, r)
}

// first is the smallest key that any of the books has next.
func first(ctx context.Context, peeks ...func(context.Context) (uuid.UUID, bool, error)) (id uuid.UUID, more bool, err error) {
	for _, peek := range peeks {
		next, has, err := peek(ctx)
		if err != nil {
			return id, false, err
		}
		if has && (!more || bytes.Compare(next[:], id[:]) < 0) {
			id, more = next, true
		}
	}
	return id, more, nil
}

func (e entry) changedSince(t time.Time) bool {
	return anySince(e.orders, t) || anySince(e.reservations, t) || anySince(e.payments, t)
}

func anySince[R row](rows []R, t time.Time) bool {
	for _, r := range rows {
		if r.changed().After(t) {
			return true
		}
	}
	return false
}

// wholes compares the sums that a service makes of its own books, in one reading of them, so that nothing is in flight.
func wholes(ctx context.Context, b books, r *Report) error {
	for after := ""; ; {
		var stock struct {
			Items []level `json:"items"`
			Next  string  `json:"next"`
		}
		query := url.Values{"limit": {strconv.Itoa(pageSize)}}
		if after != "" {
			query.Set("after", after)
		}
		if err := b.inventory.get(ctx, "/internal/reconciliation/totals?"+query.Encode(), &stock); err != nil {
			return err
		}
		r.SKUs += len(stock.Items)
		for _, l := range stock.Items {
			for _, f := range compareLevel(l) {
				r.add(Difference{Kind: f.kind, SKU: l.SKU, Detail: f.detail})
			}
		}
		if stock.Next == "" {
			break
		}
		if stock.Next <= after {
			return fmt.Errorf("the page of inventory's stock after %q leads nowhere", after)
		}
		after = stock.Next
	}
	var all ledger
	if err := b.payments.get(ctx, "/internal/reconciliation/totals", &all); err != nil {
		return err
	}
	if all.Sum != 0 {
		r.add(Difference{Kind: "ledger", Detail: fmt.Sprintf("its entries sum up to %d instead of 0", all.Sum)})
	}
	return nil
}
