package chaos

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// endLimit is how long after the last fault, or after it was placed, an order may take to have ended.
const endLimit = 60 * time.Second

// check is something that must hold after a round.
type check struct {
	name string
	of   func(h *history, b *books) []string // what breaks it
}

// checks in the order in which they are printed.
var checks = []check{
	{"exactly the stock is sold, none below zero", checkStock},
	{"every reservation fits its order", checkReservations},
	{"money in the ledger = totals of confirmed orders", checkLedger},
	{"one capture a confirmed order in the bank's books", checkBank},
	{"every order has ended and settled in time", checkEnded},
	{"every acknowledged order exists", checkAcknowledged},
	{"no refused order exists, none comes from nowhere", checkRefused},
	{"nothing is parked or left waiting", checkWaiting},
}

// complaints collects what breaks a check.
type complaints []string

func (c *complaints) add(format string, args ...any) { *c = append(*c, fmt.Sprintf(format, args...)) }

func checkStock(_ *history, b *books) []string {
	var bad complaints
	s := b.stock
	if s.lowest < 0 || s.available < 0 || s.reserved < 0 || s.sold < 0 {
		bad.add("below zero: %+v", s)
	}
	if s.available+s.reserved+s.sold != b.initial {
		bad.add("%d available + %d reserved + %d sold are not %d", s.available, s.reserved, s.sold, b.initial)
	}
	if s.sold != b.initial || s.reserved != 0 {
		bad.add("of %d pieces %d are sold, %d available, %d reserved", b.initial, s.sold, s.available, s.reserved)
	}
	var confirmed int64
	for _, o := range b.orders {
		if o.status == "confirmed" {
			confirmed += o.pieces
		}
	}
	if confirmed != s.sold {
		bad.add("confirmed orders have %d pieces, %d are sold", confirmed, s.sold)
	}
	return bad
}

func checkReservations(_ *history, b *books) []string {
	var bad complaints
	known := map[uuid.UUID]bool{}
	for _, o := range b.orders {
		known[o.id] = true
		r, has := b.reservations[o.id]
		switch {
		case o.status == "confirmed" && (!has || r.state != "committed" || r.pieces != o.pieces):
			bad.add("confirmed order %s of %d pieces: reservation %+v", o.id, o.pieces, r)
		case o.status != "confirmed" && (r.state == "committed" || r.state == "reserved"):
			bad.add("%s order %s holds stock: %+v", o.status, o.id, r)
		}
	}
	for id, r := range b.reservations {
		if !known[id] && (r.state == "committed" || r.state == "reserved") {
			bad.add("no order %s, but its reservation is %+v", id, r)
		}
	}
	return bad
}

func checkLedger(_ *history, b *books) []string {
	var bad complaints
	var totals, ledger int64
	for _, o := range b.orders {
		if o.status == "confirmed" {
			totals += o.total - o.refunded
			if o.captured != o.total {
				bad.add("order %s: total %d, captured %d", o.id, o.total, o.captured)
			}
		} else if o.captured != o.refunded {
			bad.add("%s order %s: captured %d, refunded %d", o.status, o.id, o.captured, o.refunded)
		}
		if o.total != o.pieces*b.price {
			bad.add("order %s: %d pieces for %d", o.id, o.pieces, o.total)
		}
	}
	paid := map[uuid.UUID]int{}
	for _, p := range b.payments {
		ledger += p.ledgerCaptured - p.ledgerOut
		if p.captured != p.ledgerCaptured || p.refunded != p.ledgerOut {
			bad.add("intent %s: captured %d and refunded %d, in the ledger %d and %d", p.intent, p.captured, p.refunded, p.ledgerCaptured, p.ledgerOut)
		}
		if paid[p.order]++; paid[p.order] == 2 {
			bad.add("order %s has two intents", p.order)
		}
	}
	if ledger != totals {
		bad.add("the ledger has %d, the confirmed orders come to %d", ledger, totals)
	}
	if b.ledgerSum != 0 {
		bad.add("the ledger's entries sum up to %d", b.ledgerSum)
	}
	return bad
}

func checkBank(_ *history, b *books) []string {
	var bad complaints
	type moved struct {
		captures         int
		taken, given     int64
		blocked, unblock bool
	}
	bank := map[uuid.UUID]*moved{}
	for _, c := range b.charges {
		m := bank[c.intent]
		if m == nil {
			m = &moved{}
			bank[c.intent] = m
		}
		switch c.kind {
		case authorised:
			m.blocked = true
		case voided:
			m.unblock = true
		case captured:
			m.captures++
			m.taken += c.amount
		case refunded:
			m.given += c.amount
		}
	}
	confirmed := map[uuid.UUID]order{}
	for _, o := range b.orders {
		if o.status == "confirmed" {
			confirmed[o.id] = o
		}
	}
	for _, p := range b.payments {
		m := bank[p.intent]
		if m == nil {
			m = &moved{}
		}
		delete(bank, p.intent)
		o, is := confirmed[p.order]
		delete(confirmed, p.order)
		switch {
		case m.captures > 1:
			bad.add("order %s was captured %d times", p.order, m.captures)
		case is && (m.captures != 1 || m.taken-m.given != o.total-o.refunded):
			bad.add("confirmed order %s of %d: the bank captured %d in %d captures, and gave back %d", p.order, o.total, m.taken, m.captures, m.given)
		case !is && m.blocked && !m.unblock && m.captures == 0:
			bad.add("order %s is not confirmed, but the bank still blocks its money", p.order)
		case !is && m.taken != m.given:
			bad.add("order %s is not confirmed, but the bank took %d and gave back %d", p.order, m.taken, m.given)
		}
	}
	for id := range confirmed {
		bad.add("confirmed order %s has no payment", id)
	}
	for intent := range bank {
		bad.add("the bank moved money for intent %s, which payments does not know", intent)
	}
	return bad
}

func checkEnded(_ *history, b *books) []string {
	var bad complaints
	for _, o := range b.orders {
		if o.status == "pending" || !o.settled {
			bad.add("order %s is %s, settled: %v", o.id, o.status, o.settled)
			continue
		}
		since := o.placed
		if b.lastFault.After(since) {
			since = b.lastFault
		}
		if took := o.changed.Sub(since); took > endLimit {
			bad.add("order %s had its end %s after the last fault or its placement", o.id, took.Round(time.Second))
		}
	}
	return bad
}

func checkAcknowledged(h *history, b *books) []string {
	var bad complaints
	byID := map[uuid.UUID]order{}
	for _, o := range b.orders {
		byID[o.id] = o
	}
	for _, p := range h.purchases() {
		if len(p.orders) > 1 {
			bad.add("key %s was answered with %d orders", p.key, len(p.orders))
		}
		for id := range p.orders {
			if o, exists := byID[id]; !exists {
				bad.add("order %s was acknowledged and is missing", id)
			} else if o.cart != p.cart || o.user != p.user {
				bad.add("order %s is not of the cart %s and user %s that it was placed with", id, p.cart, p.user)
			}
		}
	}
	return bad
}

// checkRefused: the last word on a key counts, as an attempt without an answer may have had its effect, which another
// attempt then tells of.
func checkRefused(h *history, b *books) []string {
	var bad complaints
	byCart := map[uuid.UUID]int{}
	for _, o := range b.orders {
		if byCart[o.cart]++; byCart[o.cart] == 2 {
			bad.add("cart %s has two orders", o.cart)
		}
	}
	carts := map[uuid.UUID]bool{}
	for _, p := range h.purchases() {
		carts[p.cart] = true
		switch {
		case p.last.Outcome == refused && len(p.orders) > 0:
			bad.add("key %s was acknowledged and then refused: %d %s", p.key, p.last.Status, p.last.Problem)
		case p.last.Outcome == refused && byCart[p.cart] > 0:
			bad.add("key %s was refused (%d %s), but there is an order", p.key, p.last.Status, p.last.Problem)
		}
	}
	for _, o := range b.orders {
		if !carts[o.cart] {
			bad.add("nobody has placed order %s", o.id)
		}
	}
	return bad
}

func checkWaiting(_ *history, b *books) []string { return b.waiting }
