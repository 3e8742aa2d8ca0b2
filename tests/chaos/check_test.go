package chaos

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// told is a round in which everything went well, as small as it can be: three pieces for 500 each, two buyers who got
// them, one of whom asked twice as the first answer was lost, one whose payment failed, and one who was refused.
func told() (*history, *books) {
	h := &history{}
	fault := time.Now().Add(-2 * time.Minute)
	b := &books{initial: 3, price: 500, stock: stock{sold: 3}, reservations: map[uuid.UUID]reservation{}, lastFault: fault}
	place := func(pieces int64, status, state string, statuses ...int) {
		o := order{
			id: uuid.Must(uuid.NewV7()), cart: uuid.Must(uuid.NewV7()), user: uuid.New(), status: status, settled: true, pieces: pieces, total: 500 * pieces,
			placed: fault.Add(-time.Second), changed: fault.Add(10 * time.Second),
		}
		for _, s := range statuses {
			c := call{User: o.user, Key: o.cart.String(), Cart: o.cart, Status: s}
			if s == 202 {
				c.Order = o.id
			}
			h.add(c)
		}
		p := payment{intent: uuid.New(), order: o.id, status: "voided"}
		b.charges = append(b.charges, charge{p.intent, authorised, o.total})
		if status != "confirmed" {
			b.charges = append(b.charges, charge{p.intent, voided, o.total})
		} else {
			o.captured = o.total
			p.status, p.captured, p.ledgerCaptured = "captured", o.total, o.total
			b.charges = append(b.charges, charge{p.intent, captured, o.total})
		}
		b.orders, b.payments = append(b.orders, o), append(b.payments, p)
		b.reservations[o.id] = reservation{state, pieces}
	}
	place(1, "confirmed", "committed", 202)
	place(2, "confirmed", "committed", 0, 503, 202)
	place(1, "failed", "released", 202)
	h.add(call{User: uuid.New(), Key: "refused", Cart: uuid.New(), Status: 409, Problem: "price-changed"})
	return h, b
}

func TestARoundThatWentWellPassesEveryCheck(t *testing.T) {
	h, b := told()
	for _, c := range checks {
		if bad := c.of(h, b); len(bad) > 0 {
			t.Errorf("%s: %v", c.name, bad)
		}
	}
}

// A check that can't fail is worth nothing: each of these is a way in which a shop goes wrong, and must be noticed by the
// check that is there for it.
func TestEveryWayToGoWrongIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		check string // the start of its name
		spoil func(h *history, b *books)
	}{
		"a piece sold twice":                  {"exactly the stock", func(_ *history, b *books) { b.stock.sold = 4 }},
		"stock below zero":                    {"exactly the stock", func(_ *history, b *books) { b.stock.sold, b.stock.available, b.stock.lowest = 4, -1, -1 }},
		"a location below zero":               {"exactly the stock", func(_ *history, b *books) { b.stock.lowest = -1 }},
		"a piece left over":                   {"exactly the stock", func(_ *history, b *books) { b.stock.sold, b.stock.available = 2, 1 }},
		"a piece still reserved":              {"exactly the stock", func(_ *history, b *books) { b.stock.sold, b.stock.reserved = 2, 1 }},
		"a piece vanished":                    {"exactly the stock", func(_ *history, b *books) { b.initial = 4 }},
		"more ordered than sold":              {"exactly the stock", func(_ *history, b *books) { b.orders[0].pieces = 2 }},
		"an oversold order":                   {"exactly the stock", func(_ *history, b *books) { b.orders[2].status = "confirmed" }},
		"a confirmed order without stock":     {"every reservation", func(_ *history, b *books) { delete(b.reservations, b.orders[0].id) }},
		"stock of a confirmed order released": {"every reservation", func(_ *history, b *books) { b.reservations[b.orders[0].id] = reservation{"released", 1} }},
		"too few pieces taken":                {"every reservation", func(_ *history, b *books) { b.reservations[b.orders[1].id] = reservation{"committed", 1} }},
		"a failed order keeps its stock":      {"every reservation", func(_ *history, b *books) { b.reservations[b.orders[2].id] = reservation{"reserved", 1} }},
		"a failed order sold its stock":       {"every reservation", func(_ *history, b *books) { b.reservations[b.orders[2].id] = reservation{"committed", 1} }},
		"stock held for no order":             {"every reservation", func(_ *history, b *books) { b.reservations[uuid.New()] = reservation{"reserved", 1} }},
		"a capture not in the ledger":         {"money", func(_ *history, b *books) { b.payments[0].ledgerCaptured = 0 }},
		"a refund only in the ledger":         {"money", func(_ *history, b *books) { b.payments[0].ledgerOut = 500 }},
		"captured, and the order failed":      {"money", func(_ *history, b *books) { b.orders[0].status = "failed" }},
		"money of a failed order kept":        {"money", func(_ *history, b *books) { b.payments[2].captured, b.payments[2].ledgerCaptured = 500, 500 }},
		"two intents of an order":             {"money", func(_ *history, b *books) { b.payments[2].order = b.orders[0].id }},
		"a confirmed order unpaid":            {"money", func(_ *history, b *books) { b.orders[0].captured = 0 }},
		"another price than the catalogue's":  {"money", func(_ *history, b *books) { b.price = 499 }},
		"the ledger out of balance":           {"money", func(_ *history, b *books) { b.ledgerSum = 1 }},
		"charged twice":                       {"one capture", func(_ *history, b *books) { b.charges = append(b.charges, b.charges[1]) }},
		"charged, given back, charged again": {"one capture", func(_ *history, b *books) {
			b.charges = append(b.charges, charge{b.charges[1].intent, refunded, 500}, b.charges[1])
		}},
		"not charged":      {"one capture", func(_ *history, b *books) { b.charges = b.charges[2:] }},
		"charged too much": {"one capture", func(_ *history, b *books) { b.charges[1].amount++ }},
		"a failed order charged": {"one capture", func(_ *history, b *books) {
			b.charges = append(b.charges, charge{b.payments[2].intent, captured, 500})
		}},
		"a charge that payments lost":         {"one capture", func(_ *history, b *books) { b.charges = append(b.charges, charge{uuid.New(), captured, 500}) }},
		"the money of a failed order blocked": {"one capture", func(_ *history, b *books) { b.charges = b.charges[:len(b.charges)-1] }},
		"a payment missing":                   {"one capture", func(_ *history, b *books) { b.payments = b.payments[1:] }},
		"an order without an end":             {"every order", func(_ *history, b *books) { b.orders[2].status = "pending" }},
		"an order that was never settled":     {"every order", func(_ *history, b *books) { b.orders[0].settled = false }},
		"an order that took too long":         {"every order", func(_ *history, b *books) { b.orders[0].changed = b.lastFault.Add(61 * time.Second) }},
		"a late order that took too long": {"every order", func(_ *history, b *books) {
			b.orders[0].placed, b.orders[0].changed = b.lastFault.Add(30*time.Second), b.lastFault.Add(91*time.Second)
		}},
		"an acknowledged order lost":         {"every acknowledged", func(_ *history, b *books) { b.orders = b.orders[1:] }},
		"an order of somebody else":          {"every acknowledged", func(_ *history, b *books) { b.orders[0].user = uuid.New() }},
		"two orders of one key":              {"every acknowledged", func(h *history, _ *books) { c := h.calls[0]; c.Order = uuid.New(); h.add(c) }},
		"a refused order that exists":        {"no refused", func(h *history, _ *books) { h.calls[0].Outcome = refused; h.calls[0].Order = uuid.Nil }},
		"acknowledged, then refused":         {"no refused", func(h *history, _ *books) { c := h.calls[0]; c.Status = 409; h.add(c) }},
		"no answer, then refused, yet there": {"no refused", func(h *history, _ *books) { c := &h.calls[3]; c.Status, c.Outcome, c.Order = 409, refused, uuid.Nil }},
		"two orders of one cart":             {"no refused", func(_ *history, b *books) { b.orders[1].cart = b.orders[0].cart }},
		"an order that nobody placed":        {"no refused", func(_ *history, b *books) { b.orders[1].cart = uuid.New() }},
		"a parked event":                     {"nothing is parked", func(_ *history, b *books) { b.waiting = []string{"payments parks one"} }},
	} {
		h, b := told()
		c.spoil(h, b)
		at := slices.IndexFunc(checks, func(k check) bool { return strings.HasPrefix(k.name, c.check) })
		if at < 0 {
			t.Fatalf("there is no check %q", c.check)
		}
		if bad := checks[at].of(h, b); len(bad) == 0 {
			t.Errorf("%s: the check %q does not notice", name, checks[at].name)
		}
	}
}

func TestAnAnswerSaysOnlyWhatItSays(t *testing.T) {
	for _, c := range []struct {
		status  int
		problem string
		want    outcome
	}{
		{202, "", ok}, {0, "", unknown}, {500, "", unknown}, {503, "", unknown}, {504, "", unknown}, {429, "", unknown},
		{409, inProgress, unknown}, {409, "cart-ordered", refused}, {422, "", refused}, {404, "", refused},
	} {
		if got := outcomeOf(c.status, c.problem); got != c.want {
			t.Errorf("%d %s: %s, want %s", c.status, c.problem, got, c.want)
		}
	}
}

func TestAScheduleFollowsFromItsSeedAndHitsEveryVictim(t *testing.T) {
	for seed := range uint64(50) {
		window := time.Minute
		one, two := schedule(seed, window), schedule(seed, window)
		if !slices.Equal(one, two) {
			t.Fatalf("seed %d gives %v and %v", seed, one, two)
		}
		if slices.Equal(one, schedule(seed+1, window)) {
			t.Errorf("seeds %d and %d give the same", seed, seed+1)
		}
		for _, v := range victims {
			if !slices.ContainsFunc(one, func(f fault) bool { return f.job == v }) {
				t.Errorf("seed %d leaves %s alone", seed, v)
			}
		}
		if last := one[len(one)-1]; last.at >= window || len(one) != 10 {
			t.Errorf("seed %d: %v", seed, one)
		}
	}
}
