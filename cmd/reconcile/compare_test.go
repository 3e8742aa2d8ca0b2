package main

import (
	"slices"
	"testing"

	"github.com/google/uuid"
)

var eur = func(minor int64) amount { return amount{minor, "EUR"} }

// agreed is a confirmed order about which all books agree.
func agreed() entry {
	id := uuid.Must(uuid.NewV7())
	lines := []line{{"tea-1", 2}, {"cup-9", 1}}
	return entry{
		orders:       []order{{ID: id, Status: "confirmed", Settled: true, Stock: "committed", Payment: "captured", Total: eur(4200), Captured: eur(4200), Refunded: eur(0), Lines: lines}},
		reservations: []reservation{{Order: id, State: "committed", Lines: []line{{"cup-9", 1}, {"tea-1", 1}, {"tea-1", 1}}}}, // of two locations
		payments: []payment{{
			Order: id, Status: "captured", Authorised: eur(4200), Captured: eur(4200), LedgerCaptured: eur(4200), ProviderCaptured: eur(4200),
		}},
	}
}

// refund gives money back in every book.
func (e entry) refund(minor int64) {
	e.orders[0].Refunded = eur(minor)
	p := &e.payments[0]
	p.Refunded, p.LedgerRefunded, p.ProviderRefunded = eur(minor), eur(minor), eur(minor)
}

// cancelled is agreed, and then cancelled: everything is given back.
func cancelled() entry {
	e := agreed()
	e.orders[0].Status, e.reservations[0].State = "cancelled", "released"
	e.refund(4200)
	return e
}

func TestBooksThatAgreeShowNoDifference(t *testing.T) {
	partly := agreed()
	partly.refund(1000)
	for name, e := range map[string]entry{
		"confirmed":       agreed(),
		"refunded partly": partly,
		"cancelled":       cancelled(),
		"refused at once": {orders: []order{{Status: "failed", Settled: true, Total: eur(100)}}},
		"failed, void": {
			orders:       []order{{Status: "failed", Settled: true, Total: eur(100)}},
			reservations: []reservation{{State: "rejected", Lines: []line{{"tea-1", 1}}}},
			payments:     []payment{{Status: "voided", Authorised: eur(100), Voided: eur(100)}},
		},
		"tombstones of no order": {reservations: []reservation{{State: "released"}}, payments: []payment{{Status: "voided"}}},
	} {
		if all := compare(e); len(all) > 0 {
			t.Errorf("%s: %v", name, all)
		}
	}
}

func TestEveryDisagreementIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		kind  string
		of    func() entry
		spoil func(e *entry)
	}{
		"a sale that no order knows": {"order-missing", agreed, func(e *entry) { e.orders = nil }},
		"a hold that no order knows": {"order-missing", agreed, func(e *entry) {
			e.orders, e.reservations, e.payments[0].Captured = nil, nil, eur(0)
			e.payments[0].Status = "authorised"
		}},
		"a confirmed order without pieces":   {"stock", agreed, func(e *entry) { e.reservations = nil }},
		"pieces released of a sold order":    {"stock", agreed, func(e *entry) { e.reservations[0].State = "released" }},
		"other pieces than ordered":          {"stock", agreed, func(e *entry) { e.reservations[0].Lines[0].Quantity = 2 }},
		"another SKU than ordered":           {"stock", agreed, func(e *entry) { e.reservations[0].Lines[0].SKU = "cup-8" }},
		"a failed order that keeps pieces":   {"stock", cancelled, func(e *entry) { e.reservations[0].State = "reserved" }},
		"a failed order that sold pieces":    {"stock", cancelled, func(e *entry) { e.reservations[0].State = "committed" }},
		"sold without being paid":            {"money", agreed, func(e *entry) { e.payments = nil }},
		"captured less than the total":       {"money", agreed, func(e *entry) { e.orders[0].Total = eur(4300) }},
		"captured in another currency":       {"money", agreed, func(e *entry) { e.orders[0].Total = amount{4200, "USD"} }},
		"cancelled, not refunded":            {"money", cancelled, func(e *entry) { e.refund(0) }},
		"cancelled, refunded in part":        {"money", cancelled, func(e *entry) { e.refund(4199) }},
		"cancelled, money still blocked":     {"money", cancelled, func(e *entry) { e.payments[0].Status = "authorised" }},
		"orders does not know of the refund": {"money", agreed, func(e *entry) { e.refund(100); e.orders[0].Refunded = eur(0) }},
		"orders does not know of the money":  {"money", agreed, func(e *entry) { e.orders[0].Captured = eur(0) }},
		"refunded more than captured":        {"money", agreed, func(e *entry) { e.refund(4201) }},
		"captured more than authorised":      {"money", agreed, func(e *entry) { e.payments[0].Authorised = eur(4199) }},
		"a capture missing in the ledger":    {"ledger", agreed, func(e *entry) { e.payments[0].LedgerCaptured = eur(0) }},
		"a refund missing in the ledger":     {"ledger", cancelled, func(e *entry) { e.payments[0].LedgerRefunded = eur(0) }},
		"the provider captured twice":        {"provider", agreed, func(e *entry) { e.payments[0].ProviderCaptured = eur(8400) }},
		"the provider refunded nothing":      {"provider", cancelled, func(e *entry) { e.payments[0].ProviderRefunded = eur(0) }},
		"two intents of one order":           {"paid-twice", agreed, func(e *entry) { e.payments = append(e.payments, e.payments[0]) }},
		"two rows of one order":              {"duplicate", agreed, func(e *entry) { e.orders = append(e.orders, e.orders[0]) }},
		"an order that stands still":         {"unsettled", agreed, func(e *entry) { e.orders[0].Settled = false }},
	} {
		e := c.of()
		c.spoil(&e)
		all := compare(e)
		if !slices.ContainsFunc(all, func(f found) bool { return f.kind == c.kind }) {
			t.Errorf("%s: found %v, want a difference of the kind %s", name, all, c.kind)
		}
	}
}

func TestStockThatDoesNotAddUpIsFound(t *testing.T) {
	good := level{SKU: "tea-1", Available: 5, Reserved: 2, Sold: 3, Adjusted: 10, ReservedByReservations: 2, SoldByReservations: 3}
	if all := compareLevel(good); len(all) > 0 {
		t.Errorf("it adds up, but: %v", all)
	}
	for name, spoil := range map[string]func(*level){
		"a piece vanished":          func(l *level) { l.Available-- },
		"below zero":                func(l *level) { l.Available, l.Adjusted = -1, 4 },
		"sold without an order":     func(l *level) { l.Available--; l.Sold++ },
		"a reservation not counted": func(l *level) { l.ReservedByReservations++ },
	} {
		l := good
		spoil(&l)
		if len(compareLevel(l)) == 0 {
			t.Errorf("%s: not found", name)
		}
	}
}
