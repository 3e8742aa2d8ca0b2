package app

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

var deadlines = DefaultDeadlines()

// TestEveryOrderEndsWithNothingHeldOrSoldAndPaid tries many courses of events. Those of seed n are the same each time.
func TestEveryOrderEndsWithNothingHeldOrSoldAndPaid(t *testing.T) {
	ends := map[string]int{}
	for seed := range uint64(20_000) {
		w := newWorld(rand.New(rand.NewPCG(seed, 6)))
		if err := w.run(seed%2 == 1); err != nil {
			for _, e := range w.order.News() {
				t.Logf("%d %s %+v", e.Version, e.Fact.Kind(), e.Fact)
			}
			t.Fatalf("seed %d: %v (stock asked %q, payment asked %q)", seed, err, w.order.StockAsked, w.order.PaymentAsked)
		}
		folded := Fold(w.order.News())
		folded.DueAt, folded.Attempts, folded.news, folded.messages = w.order.DueAt, w.order.Attempts, w.order.news, w.order.messages
		if !reflect.DeepEqual(folded, w.order) {
			t.Fatalf("seed %d: its events make\n%+v, and it is\n%+v", seed, folded, w.order)
		}
		ends[string(w.order.Status)+" "+w.order.Reason]++
	}
	for _, want := range []string{
		"confirmed ", "cancelled changed_mind", "failed insufficient_stock", "failed stock_timeout", "failed payment_timeout", "failed payment_declined",
		"failed reservation_expired", "failed capture_failed",
	} {
		if ends[want] == 0 {
			t.Errorf("no order ended %q: %v", want, ends)
		}
	}
}

func TestAnAnsweredOrderIsNotDue(t *testing.T) {
	w := newWorld(rand.New(rand.NewPCG(1, 1)))
	before := w.order.DueAt
	w.order.Due(before.Add(-time.Millisecond), deadlines)
	if len(w.order.News()) != 1 {
		t.Fatal("it failed before its time")
	}
	if err := w.order.Handle(Reply{Order: w.order.ID, Fact: StockReserved{}}, w.now, deadlines); err != nil {
		t.Fatal(err)
	}
	if want := w.now.Add(deadlines.Payment); !w.order.DueAt.Equal(want) {
		t.Errorf("due %s, want %s", w.order.DueAt, want)
	}
}

// TestUnansweredCommandsAreSentLessAndLessOften: a service that is away for a day must not be met by a flood.
func TestUnansweredCommandsAreSentLessAndLessOften(t *testing.T) {
	w := newWorld(rand.New(rand.NewPCG(2, 2)))
	o := w.order
	if err := o.Cancel(Cancellation{Reason: "x"}, w.now, deadlines); err != nil {
		t.Fatal(err)
	}
	first, day := len(o.Messages()), o.PlacedAt.Add(24*time.Hour)
	for o.DueAt.Before(day) {
		o.Due(o.DueAt, deadlines)
	}
	if sent := len(o.Messages()) - first; sent < 100 || sent > 300 {
		t.Errorf("%d commands in a day", sent)
	}
	if o.Version != 2 {
		t.Errorf("version %d: asking again is no event", o.Version)
	}
}

// TestWhatComesAfterTheEndIsGivenBack: a service that has forgotten a release or a void is asked again.
func TestWhatComesAfterTheEndIsGivenBack(t *testing.T) {
	for _, x := range []struct {
		late   Fact
		asked  string
		answer Fact
	}{
		{StockReserved{}, "souk.inventory.release.v1", StockReleased{}},
		{StockCommitted{}, "souk.inventory.release.v1", StockReleased{}},
		{PaymentAuthorised{Intent: "i", Amount: 2500}, "souk.payments.void.v1", PaymentVoided{}},
		{PaymentCaptured{Intent: "i", Amount: 2500}, "souk.payments.refund.v1", nil},
	} {
		w := newWorld(rand.New(rand.NewPCG(3, 3)))
		o := w.order
		o.Due(o.DueAt, deadlines) // stock_timeout
		hear := func(f Fact) {
			t.Helper()
			if err := o.Handle(Reply{Order: o.ID, Fact: f, Currency: "EUR"}, w.now, deadlines); err != nil {
				t.Fatal(err)
			}
		}
		hear(StockReleased{})
		if !o.Settled() {
			t.Fatal("not settled")
		}
		before := len(o.Messages())
		hear(x.late)
		hear(x.late)
		if sent := o.Messages()[before:]; len(sent) != 1 || sent[0].Type != x.asked || o.Settled() {
			t.Errorf("after %s it sends %+v, settled %t", x.late.Kind(), sent, o.Settled())
		}
		if x.answer == nil {
			x.answer = PaymentRefunded{Refund: o.Refund, Amount: 2500, RefundedTotal: 2500}
		}
		hear(x.answer)
		hear(x.answer)
		if !o.Settled() || o.Status != HasFailed {
			t.Errorf("after %s it is %s, settled %t", x.answer.Kind(), o.Status, o.Settled())
		}
	}
}

func TestMoneyOfAnotherOrderIsRefused(t *testing.T) {
	for name, r := range map[string]Reply{
		"other currency": {Fact: PaymentAuthorised{Amount: 2500}, Currency: "USD"},
		"too little":     {Fact: PaymentAuthorised{Amount: 2499}, Currency: "EUR"},
		"too much":       {Fact: PaymentCaptured{Amount: 2501}, Currency: "EUR"},
		"negative":       {Fact: PaymentRefunded{Amount: -1, RefundedTotal: -1}, Currency: "EUR"},
	} {
		w := newWorld(rand.New(rand.NewPCG(1, 1)))
		if err := w.order.Handle(r, w.now, deadlines); err == nil || len(w.order.News()) != 1 {
			t.Errorf("%s: %v, %d events", name, err, len(w.order.News()))
		}
	}
}
