package app

import (
	"time"

	"github.com/google/uuid"
)

// Deadlines say how long the saga waits. What it waits for in vain makes a pending order fail; later, what it has asked
// for is asked for again.
type Deadlines struct {
	Stock       time.Duration // for inventory to reserve
	Payment     time.Duration // for payments to authorise
	Again       time.Duration // for any other answer, before the command is sent again
	Reservation time.Duration // how long inventory holds stock that nobody commits
}

// DefaultDeadlines suit people who wait for their order.
func DefaultDeadlines() Deadlines {
	return Deadlines{Stock: 15 * time.Second, Payment: 20 * time.Second, Again: 15 * time.Second, Reservation: 15 * time.Minute}
}

// maxAgain bounds how long a command that stays unanswered waits to be sent again: the first times come at Deadlines.Again,
// later ones at twice the time before, so that a service that is away for long is not met by a flood.
const (
	maxAgain   = 5 * time.Minute
	promptOnes = 4
)

func (d Deadlines) until(o *Order) time.Duration {
	switch {
	case o.Status == Pending && o.StockAsked == Reserve:
		return d.Stock
	case o.Status == Pending:
		return d.Payment
	}
	wait := d.Again
	for range o.Attempts - promptOnes {
		if wait *= 2; wait >= maxAgain {
			return max(maxAgain, d.Again)
		}
	}
	return wait
}

// step runs decide, in which facts are recorded, and draws the consequences: commands for what is asked anew, and when to
// look again.
func (o *Order) step(at time.Time, d Deadlines, decide func(record func(Fact))) {
	stock, payment, refund, version := o.StockAsked, o.PaymentAsked, o.Refund, o.Version
	decide(func(f Fact) {
		e := Event{Order: o.ID, Version: o.Version + 1, At: at, Fact: f}
		o.Apply(e)
		o.news = append(o.news, e)
		if m, ok := o.public(f, at); ok {
			o.messages = append(o.messages, m)
		}
	})
	if o.Version == version {
		return
	}
	if o.StockAsked != stock && o.StockAsked != Nothing {
		o.messages = append(o.messages, o.command(o.StockAsked, at, d))
	}
	if o.PaymentAsked != Nothing && (o.PaymentAsked != payment || o.Refund != refund && o.Refund != uuid.Nil) {
		o.messages = append(o.messages, o.command(o.PaymentAsked, at, d))
	}
	if o.StockAsked != stock || o.PaymentAsked != payment {
		o.Attempts = 0
	}
	o.DueAt = at.Add(d.until(o))
}

// fail gives the order up, and has everything given back that it holds.
func (o *Order) fail(record func(Fact), reason string) {
	record(Failed{Reason: reason})
	o.giveBack(record)
}

// giveBack asks for a refund of what an ended order has paid, unless one is under way.
func (o *Order) giveBack(record func(Fact)) {
	if o.Ended() && o.PaymentAsked == Nothing && o.Captured > o.Refunded {
		record(RefundRequested{Refund: newID(), Amount: o.Captured - o.Refunded, Reason: o.Reason})
	}
}

// Due draws the consequences of a deadline that has passed: a pending order fails, and commands that have no answer are
// sent again. Whoever gets them twice answers twice and does the thing once.
func (o *Order) Due(at time.Time, d Deadlines) {
	if o.Settled() || at.Before(o.DueAt) {
		return
	}
	version := o.Version
	o.Attempts++
	o.step(at, d, func(record func(Fact)) {
		switch {
		case o.Status == Pending && o.StockAsked == Reserve:
			o.fail(record, StockTimeout)
		case o.Status == Pending:
			o.fail(record, PaymentTimeout)
		case o.PaymentAsked == Refund && o.Refund == uuid.Nil: // the last one failed
			record(RefundRequested{Refund: newID(), Amount: o.Captured - o.Refunded, Reason: o.Reason})
		}
	})
	if o.Version != version {
		return
	}
	o.DueAt = at.Add(d.until(o))
	for _, ask := range []Ask{o.StockAsked, o.PaymentAsked} {
		if ask != Nothing {
			o.messages = append(o.messages, o.command(ask, at, d))
		}
	}
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) } // fails only without entropy, which crypto/rand does not survive
