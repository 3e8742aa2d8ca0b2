package main

import "fmt"

// entry is everything that the books say about one order. There should be one row of each at most.
type entry struct {
	orders       []order
	reservations []reservation
	payments     []payment
}

// found is a difference's kind and what the books say, for people.
type found struct{ kind, detail string }

// compare applies the rules to one entry that nothing has touched lately.
func compare(e entry) (all []found) {
	note := func(kind, format string, args ...any) { all = append(all, found{kind, fmt.Sprintf(format, args...)}) }
	if len(e.orders) > 1 || len(e.reservations) > 1 {
		note("duplicate", "%d rows in orders, %d in inventory: there can be one", len(e.orders), len(e.reservations))
		return all
	}
	if len(e.payments) > 1 {
		note("paid-twice", "payments has %d intents for the order", len(e.payments))
	}
	for _, p := range e.payments {
		all = append(all, compareBooks(p)...)
	}
	if len(e.orders) == 0 {
		return append(all, compareOrphan(e)...)
	}
	o := e.orders[0]
	if !o.Settled {
		note("unsettled", "the order is %s, its stock %s, its payment %s, and nothing has moved since %s", o.Status, o.Stock, o.Payment, o.ChangedAt.UTC().Format("2006-01-02 15:04:05"))
		return all
	}
	return append(append(all, compareStock(o, e.reservations)...), compareMoney(o, e.payments)...)
}

// compareOrphan looks at what belongs to an order that orders does not know. A tombstone binds nothing.
func compareOrphan(e entry) (all []found) {
	for _, r := range e.reservations {
		if holds(r.State) {
			all = append(all, found{"order-missing", fmt.Sprintf("inventory has %s for it: %s", r.State, pieces(r.Lines))})
		}
	}
	for _, p := range e.payments {
		if p.held() || p.Captured.Minor != p.Refunded.Minor {
			all = append(all, found{"order-missing", fmt.Sprintf("payments has an intent that is %s: captured %s, refunded %s", p.Status, p.Captured, p.Refunded)})
		}
	}
	return all
}

// holds tells whether a reservation in that state keeps pieces from others.
func holds(state string) bool { return state == "reserved" || state == "committed" }

// held tells whether the customer's money is still blocked.
func (p payment) held() bool { return p.Status == "authorised" }

// compareStock wants the pieces of a confirmed order sold, and none held for any other.
func compareStock(o order, rs []reservation) (all []found) {
	if o.Status != "confirmed" {
		if len(rs) == 1 && holds(rs[0].State) {
			all = append(all, found{"stock", fmt.Sprintf("the order is %s, but inventory has its stock %s: %s", o.Status, rs[0].State, pieces(rs[0].Lines))})
		}
		return all
	}
	switch {
	case len(rs) == 0:
		all = append(all, found{"stock", "the order is confirmed, but inventory has no reservation"})
	case rs[0].State != "committed":
		all = append(all, found{"stock", "the order is confirmed, but inventory has its stock " + rs[0].State})
	case pieces(rs[0].Lines) != pieces(o.Lines):
		all = append(all, found{"stock", fmt.Sprintf("ordered: %s; sold: %s", pieces(o.Lines), pieces(rs[0].Lines))})
	}
	return all
}

// compareMoney wants the total of a confirmed order captured, everything given back of any other, and the same sums in
// both services' books.
func compareMoney(o order, ps []payment) (all []found) {
	note := func(format string, args ...any) { all = append(all, found{"money", fmt.Sprintf(format, args...)}) }
	captured, refunded := amount{Currency: o.Total.Currency}, amount{Currency: o.Total.Currency}
	for _, p := range ps {
		captured, refunded = captured.plus(p.Captured), refunded.plus(p.Refunded)
		if p.held() && o.Status != "confirmed" {
			note("the order is %s, but %s are still blocked", o.Status, p.Authorised)
		}
	}
	if o.Status == "confirmed" && !captured.same(o.Total) {
		note("the order's total is %s, captured are %s", o.Total, captured)
	}
	if o.Status != "confirmed" && !captured.same(refunded) {
		note("the order is %s, but of %s captured %s are refunded", o.Status, captured, refunded)
	}
	if !captured.same(o.Captured) || !refunded.same(o.Refunded) {
		note("orders has %s captured and %s refunded, payments %s and %s", o.Captured, o.Refunded, captured, refunded)
	}
	return all
}

// plus adds; a sum over two currencies is nobody's, and differs from every other.
func (a amount) plus(b amount) amount {
	switch {
	case b.Minor == 0:
		return a
	case a.Minor == 0 || a.Currency == b.Currency:
		return amount{a.Minor + b.Minor, b.Currency}
	}
	return amount{a.Minor + b.Minor, a.Currency + "+" + b.Currency}
}

// compareBooks wants intent, ledger and provider to agree, and no more taken or given back than there was.
func compareBooks(p payment) (all []found) {
	note := func(kind, format string, args ...any) {
		all = append(all, found{kind, fmt.Sprintf("intent %s: ", p.Intent) + fmt.Sprintf(format, args...)})
	}
	if !p.Captured.same(p.LedgerCaptured) || !p.Refunded.same(p.LedgerRefunded) {
		note("ledger", "captured %s and refunded %s, but in the ledger %s and %s", p.Captured, p.Refunded, p.LedgerCaptured, p.LedgerRefunded)
	}
	if !p.Captured.same(p.ProviderCaptured) || !p.Refunded.same(p.ProviderRefunded) {
		note("provider", "captured %s and refunded %s, but in the provider's books %s and %s", p.Captured, p.Refunded, p.ProviderCaptured, p.ProviderRefunded)
	}
	if p.Captured.Minor > p.Authorised.Minor || p.Refunded.Minor > p.Captured.Minor || p.Captured.Minor < 0 || p.Refunded.Minor < 0 {
		note("money", "authorised %s, captured %s, refunded %s", p.Authorised, p.Captured, p.Refunded)
	}
	return all
}

// compareLevel wants stock that adds up: nothing appears or vanishes but by an adjustment.
func compareLevel(l level) (all []found) {
	note := func(format string, args ...any) {
		all = append(all, found{"stock-level", fmt.Sprintf(format, args...)})
	}
	if l.Available < 0 || l.Reserved < 0 || l.Sold < 0 {
		note("below zero: %d available, %d reserved, %d sold", l.Available, l.Reserved, l.Sold)
	}
	if l.Available+l.Reserved+l.Sold != l.Adjusted {
		note("%d available + %d reserved + %d sold are not the %d that came in", l.Available, l.Reserved, l.Sold, l.Adjusted)
	}
	if l.Reserved != l.ReservedByReservations || l.Sold != l.SoldByReservations {
		note("%d reserved and %d sold, but by the reservations %d and %d", l.Reserved, l.Sold, l.ReservedByReservations, l.SoldByReservations)
	}
	return all
}
