package app

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
)

// world is inventory and payments as the saga knows them, with one order. They do what a command asks once and answer it
// each time, as the contract of their topics says; what they do of their own accord is chance. Commands of one topic come
// in order, and may come twice; so do answers.
type world struct {
	rng   *rand.Rand
	now   time.Time
	order *Order
	seen  int // messages of the order that were taken

	stockCommands, paymentCommands []Message
	stockAnswers, paymentAnswers   []Fact
	deaf                           bool // they answer nothing for now

	// inventory
	stock                string // "", reserved, committed, released, expired, rejected
	noStock, commitFails bool
	// payments
	payment                           string // "", authorised, declined, captured, voided, failed
	refunds                           map[uuid.UUID]bool
	captured, refunded                int64
	captures, authorisations          int
	declines, captureFails, badRefund bool
}

func newWorld(rng *rand.Rand) *world {
	w := &world{rng: rng, now: Now(), refunds: map[uuid.UUID]bool{}}
	chance := func(percent int) bool { return rng.IntN(100) < percent }
	w.noStock, w.commitFails, w.declines, w.captureFails, w.badRefund = chance(10), chance(10), chance(15), chance(15), chance(30)
	cart := Cart{ID: newID(), User: newID(), Version: 1, Currency: "EUR", Lines: []CartLine{
		{SKU: "A", ProductID: newID(), Name: "a", Quantity: 2, UnitPrice: 1000}, {SKU: "B", ProductID: newID(), Name: "b", Quantity: 1, UnitPrice: 500},
	}}
	order, err := Place(1, cart, Placement{User: cart.User, Cart: cart.ID, Version: 1, Method: "pm_sandbox_approve"}, w.now, deadlines)
	if err != nil {
		panic(err)
	}
	w.order = order
	w.collect()
	return w
}

// collect sends what the order has to say.
func (w *world) collect() {
	for _, m := range w.order.Messages()[w.seen:] {
		w.seen++
		copies := 1 + w.rng.IntN(8)/7
		for range copies {
			switch m.Topic {
			case StockCommands:
				w.stockCommands = append(w.stockCommands, m)
			case PaymentCommands:
				w.paymentCommands = append(w.paymentCommands, m)
			}
		}
	}
}

func (w *world) inventory() {
	m := w.stockCommands[0]
	w.stockCommands = w.stockCommands[1:]
	switch m.Data.(type) {
	case reserveData:
		switch {
		case w.stock == "" && w.noStock:
			w.stock = "rejected"
		case w.stock == "":
			w.stock = "reserved"
		}
	case orderData: // commit
		switch {
		case w.stock == "reserved" && w.commitFails:
			w.stock = "expired"
			w.say(StockExpired{})
		case w.stock == "reserved", w.stock == "expired" && !w.commitFails:
			w.stock = "committed"
		}
		if w.stock != "committed" {
			w.say(StockCommitFailed{Reason: w.stock})
			return
		}
	case reasonData:
		w.stock = "released"
	}
	switch w.stock {
	case "reserved":
		w.say(StockReserved{})
	case "rejected":
		w.say(StockRejected{Reason: InsufficientStock})
	case "released":
		if _, reserve := m.Data.(reserveData); reserve {
			w.say(StockRejected{Reason: "released"})
			return
		}
		w.say(StockReleased{})
	case "committed":
		w.say(StockCommitted{})
	case "expired":
		w.say(StockExpired{})
	}
}

func (w *world) payments() {
	m := w.paymentCommands[0]
	w.paymentCommands = w.paymentCommands[1:]
	switch d := m.Data.(type) {
	case authoriseData:
		if w.payment == "" {
			w.payment = "authorised"
			if w.declines {
				w.payment = "declined"
			} else {
				w.authorisations++
			}
		}
	case orderData: // capture
		if w.payment == "authorised" && !w.captureFails {
			w.payment = "captured"
			w.captures++
			w.captured = w.order.Total
		}
		if w.payment != "captured" {
			w.tell(PaymentCaptureFailed{Reason: "no"})
			return
		}
	case reasonData:
		if w.payment != "captured" && w.payment != "declined" {
			w.payment = "voided"
		}
	case refundData:
		switch {
		case w.refunds[d.RefundID]:
		case w.badRefund || d.Amount.Minor > w.captured-w.refunded:
			w.badRefund = false
			w.tell(RefundFailed{Refund: d.RefundID, Reason: "no"})
			return
		default:
			w.refunds[d.RefundID] = true
			w.refunded += d.Amount.Minor
		}
		w.tell(PaymentRefunded{Refund: d.RefundID, Amount: d.Amount.Minor, RefundedTotal: w.refunded})
		return
	}
	switch w.payment {
	case "authorised":
		w.tell(PaymentAuthorised{Intent: "i", Amount: w.order.Total})
	case "declined":
		w.tell(PaymentDeclined{Intent: "i", Reason: "no"})
	case "captured":
		w.tell(PaymentCaptured{Intent: "i", Amount: w.captured})
	case "voided":
		w.tell(PaymentVoided{})
	}
}

func (w *world) say(f Fact) { w.stockAnswers = append(w.stockAnswers, f) }

func (w *world) tell(f Fact) { w.paymentAnswers = append(w.paymentAnswers, f) }

// step lets something happen that can, and reports whether anything could. With scramble answers overtake one another.
func (w *world) step(scramble bool) bool {
	var can []func()
	if len(w.stockCommands) > 0 && !w.deaf {
		can = append(can, w.inventory)
	}
	if len(w.paymentCommands) > 0 && !w.deaf {
		can = append(can, w.payments)
	}
	for _, queue := range []*[]Fact{&w.stockAnswers, &w.paymentAnswers} {
		if len(*queue) > 0 {
			can = append(can, func() {
				i := 0
				if scramble {
					i = w.rng.IntN(len(*queue))
				}
				f := (*queue)[i]
				if w.rng.IntN(6) > 0 { // else it comes again
					*queue = slices.Delete(*queue, i, i+1)
				}
				if err := w.order.Handle(Reply{Order: w.order.ID, Fact: f, Currency: "EUR"}, w.now, deadlines); err != nil {
					panic(err)
				}
			})
		}
	}
	if len(can) == 0 {
		return false
	}
	can[w.rng.IntN(len(can))]()
	w.collect()
	return true
}

// run lets everything happen, with cancellations, lost time and services that are away among it, and then come to an end.
func (w *world) run(scramble bool) error {
	for range w.rng.IntN(40) {
		switch w.rng.IntN(14) {
		case 0:
			if err := w.order.Cancel(Cancellation{Reason: "changed_mind"}, w.now, deadlines); err == nil {
				w.collect()
			}
		case 1:
			w.now = w.now.Add(time.Duration(w.rng.IntN(40)) * time.Second)
			w.order.Due(w.now, deadlines)
			w.collect()
		case 2:
			w.deaf = !w.deaf
		case 3:
			if w.stock == "reserved" {
				w.stock = "expired"
				w.say(StockExpired{})
			}
		case 4:
			if w.payment == "captured" && w.refunded+100 <= w.captured && w.rng.IntN(2) == 0 { // by support, at payments
				id := newID()
				w.refunds[id] = true
				w.refunded += 100
				w.tell(PaymentRefunded{Refund: id, Amount: 100, RefundedTotal: w.refunded})
			}
		default:
			w.step(scramble)
		}
		if err := w.check(); err != nil {
			return err
		}
	}
	w.deaf = false
	for range 500 {
		if w.step(scramble) {
			continue
		}
		if w.order.Settled() {
			return w.end()
		}
		w.now = w.order.DueAt
		w.order.Due(w.now, deadlines)
		w.collect()
	}
	return fmt.Errorf("it does not end")
}

// check is what must hold at any time.
func (w *world) check() error {
	o := w.order
	switch {
	case w.captures > 1 || w.authorisations > 1:
		return fmt.Errorf("%d captures, %d authorisations", w.captures, w.authorisations)
	case w.refunded > w.captured:
		return fmt.Errorf("%d refunded of %d", w.refunded, w.captured)
	case o.Refunded > o.Captured || o.Captured > o.Total:
		return fmt.Errorf("the order says %d refunded of %d of %d", o.Refunded, o.Captured, o.Total)
	}
	return nil
}

// end is what must hold of an order that is settled, when nothing is under way.
func (w *world) end() error {
	o := w.order
	if err := w.check(); err != nil {
		return err
	}
	if o.Status == IsConfirmed {
		if w.stock != "committed" || w.payment != "captured" || o.Stock != Committed || o.Refunded != w.refunded {
			return fmt.Errorf("confirmed with stock %s and payment %s", w.stock, w.payment)
		}
		return nil
	}
	if !o.Ended() || o.Reason == "" {
		return fmt.Errorf("it ended %s for %q", o.Status, o.Reason)
	}
	if w.stock == "reserved" || w.stock == "committed" {
		return fmt.Errorf("%s (%s), but its stock is %s", o.Status, o.Reason, w.stock)
	}
	if o.Stock == ReservedStock || o.Stock == Committed || o.Payment == Authorised || o.Captured != o.Refunded || o.Captured > 0 && o.Payment != Refunded {
		return fmt.Errorf("it says that its stock is %s and its payment %s, %d refunded of %d", o.Stock, o.Payment, o.Refunded, o.Captured)
	}
	if w.payment == "authorised" || w.captured != w.refunded {
		return fmt.Errorf("%s (%s), but its payment is %s, %d refunded of %d", o.Status, o.Reason, w.payment, w.refunded, w.captured)
	}
	return nil
}
