package events_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"souk/internal/errs"
	kafka "souk/internal/events"
	"souk/internal/money"
	"souk/services/payments/app"
	"souk/services/payments/events"
	"souk/services/payments/provider/sandbox"
)

func TestTheCheckoutsCommands(t *testing.T) {
	c := open(t)
	for _, x := range []struct {
		name string
		test func(*checkout, *testing.T)
	}{
		{"a payment is authorised, captured and refunded in parts", (*checkout).life},
		{"every payment method ends as it says", (*checkout).methods},
		{"a repeated command is answered again and has one effect", (*checkout).repeated},
		{"a void before the authorisation stays", (*checkout).voidFirst},
		{"a void overtakes an authorisation under way, and what the bank says later is undone", (*checkout).voidRacing},
		{"a void while the bank captures learns of the capture", (*checkout).voidCapturing},
		{"an answer that is lost after the bank has charged does not charge twice", (*checkout).lostAnswer},
		{"what a dead instance has stored is done by another", (*checkout).died},
		{"an authorisation without an answer is given up and undone", (*checkout).silence},
		{"a late webhook settles what is in progress, once", (*checkout).lateWebhook},
		{"refunds at once never give back more than was captured", (*checkout).refundRace},
		{"what contradicts or can't be is parked and changes nothing", (*checkout).poison},
		{"the database refuses what the code would have to do wrong", (*checkout).constraints},
		{"a batch that mixes many orders", (*checkout).batch},
	} {
		t.Run(x.name, func(t *testing.T) {
			own := *c
			own.t = t
			x.test(&own, t)
		})
	}
	c.balanced()
}

func (c *checkout) life(t *testing.T) {
	o := newOrder(4990, sandbox.Approve)
	c.obey(o.authorise())
	got := c.awaits(o, app.EventAuthorised)[0].data
	if got.OrderID != o.id || *got.Amount != eur(4990) || got.Provider != sandbox.Name || got.IntentID == uuid.Nil {
		t.Errorf("authorised: %+v", got)
	}
	if held := c.books(o).Held; held != 4990 {
		t.Errorf("the bank holds %d", held)
	}
	c.obey(o.capture())
	c.awaits(o, app.EventAuthorised, app.EventCaptured)
	first, second := uuid.New(), uuid.New()
	c.obey(o.refund(first, eur(990)))
	got = c.awaits(o, app.EventAuthorised, app.EventCaptured, app.EventRefunded)[2].data
	if got.RefundID != first || *got.Amount != eur(990) || *got.RefundedTotal != eur(990) || got.Reason != "returned" {
		t.Errorf("refunded: %+v", got)
	}
	c.obey(o.refund(second, eur(4001)), o.refund(second, eur(4001)))
	got = c.awaits(o, app.EventAuthorised, app.EventCaptured, app.EventRefunded, app.EventRefundFailed, app.EventRefundFailed)[3].data
	if got.Reason != app.ReasonExceeds {
		t.Errorf("too much: %+v", got)
	}
	c.obey(o.refund(uuid.New(), money.Amount{Minor: 1, Currency: "USD"}), o.refund(uuid.New(), eur(4000)))
	c.until(func() bool { return c.books(o).Refunded == 4990 })
	if b := c.books(o); b.Captured != 4990 || b.Refunded != 4990 || b.Held != 0 {
		t.Errorf("the bank's books: %+v", b)
	}
}

func (c *checkout) methods(*testing.T) {
	for method, kinds := range map[string][]app.EventType{
		sandbox.Approve: {app.EventAuthorised}, sandbox.Decline: {app.EventDeclined}, sandbox.InsufficientFunds: {app.EventDeclined},
		sandbox.ErrorOnce: {app.EventAuthorised}, "pm_card_visa": {app.EventDeclined},
	} {
		o := newOrder(100, method)
		c.obey(o.authorise())
		c.awaits(o, kinds...)
	}
	o := newOrder(100, sandbox.CaptureFails)
	c.obey(o.authorise())
	c.becomes(o, app.IsAuthorised)
	c.obey(o.capture())
	c.becomes(o, app.CaptureFailed)
	c.obey(o.void())
	c.awaits(o, app.EventAuthorised, app.EventCaptureFailed, app.EventVoided)
}

func (c *checkout) repeated(t *testing.T) {
	o := newOrder(100, sandbox.Approve)
	c.obey(o.authorise(), o.authorise())
	c.becomes(o, app.IsAuthorised)
	c.obey(o.authorise())
	c.obey(o.capture(), o.capture())
	c.becomes(o, app.IsCaptured)
	id := uuid.New()
	c.obey(o.capture(), o.authorise(), o.refund(id, eur(60)), o.refund(id, eur(60)))
	c.until(func() bool { return c.books(o).Refunded == 60 })
	c.obey(o.refund(id, eur(60)), o.void())
	c.awaits(o, app.EventAuthorised, app.EventAuthorised, app.EventCaptured, app.EventCaptured, app.EventCaptured,
		app.EventRefunded, app.EventRefunded, app.EventCaptured)
	if b := c.books(o); b.Captured != 100 || b.Refunded != 60 || c.entries(o, app.Authorised) != 1 {
		t.Errorf("the bank's books: %+v", b)
	}
}

func (c *checkout) voidFirst(t *testing.T) {
	o := newOrder(100, sandbox.Approve)
	c.obey(o.void())
	c.obey(o.authorise(), o.capture(), o.void())
	c.awaits(o, app.EventVoided, app.EventVoided, app.EventCaptureFailed, app.EventVoided)
	if n := c.count("SELECT count(*) FROM sandbox_entries s JOIN intents i ON i.id = s.payment WHERE i.order_id = $1", o.id); n != 0 {
		t.Errorf("the bank was asked %d times", n)
	}
	unknown := newOrder(100, sandbox.Approve)
	c.obey(unknown.capture())
	c.obey(unknown.refund(uuid.New(), eur(1)), unknown.authorise())
	c.awaits(unknown, app.EventCaptureFailed, app.EventRefundFailed, app.EventVoided)
}

func (c *checkout) voidRacing(t *testing.T) {
	hold := make(chan struct{})
	c.provider.mu.Lock()
	c.provider.hold = hold
	c.provider.mu.Unlock()
	late, early := newOrder(100, sandbox.Approve), newOrder(200, sandbox.Approve)
	c.obey(late.authorise(), early.authorise(), early.void()) // the void is in the same batch
	c.obey(late.void(), late.void())
	c.becomes(late, app.IsVoided)
	c.becomes(early, app.IsVoided)
	c.provider.mu.Lock()
	c.provider.hold = nil
	c.provider.mu.Unlock()
	close(hold) // only now the authorisations reach the bank
	c.until(func() bool { return c.entries(late, app.Declined) == 1 })
	c.obey(late.capture())
	for _, o := range []order{late, early} {
		if b := c.books(o); b.Held != 0 || b.Captured != 0 {
			t.Errorf("the bank holds or has taken %+v", b)
		}
	}
	c.awaits(late, app.EventVoided, app.EventCaptureFailed)
	c.awaits(early, app.EventVoided)
}

func (c *checkout) voidCapturing(*testing.T) {
	o := newOrder(100, sandbox.Approve)
	c.obey(o.authorise())
	c.becomes(o, app.IsAuthorised)
	c.obey(o.capture(), o.void())
	c.awaits(o, app.EventAuthorised, app.EventCaptured)
	fails := newOrder(100, sandbox.CaptureFails)
	c.obey(fails.authorise())
	c.becomes(fails, app.IsAuthorised)
	c.obey(fails.capture(), fails.void())
	c.awaits(fails, app.EventAuthorised, app.EventCaptureFailed, app.EventVoided)
}

func (c *checkout) lostAnswer(t *testing.T) {
	o := newOrder(100, sandbox.Approve)
	c.provider.mu.Lock()
	c.provider.lose = map[app.Kind]int{app.OpAuthorise: 2, app.OpCapture: 2}
	c.provider.mu.Unlock()
	c.obey(o.authorise())
	c.becomes(o, app.IsAuthorised)
	c.obey(o.capture())
	c.awaits(o, app.EventAuthorised, app.EventCaptured)
	if a, n := c.entries(o, app.Authorised), c.entries(o, app.Captured); a != 1 || n != 1 {
		t.Errorf("the bank has authorised %d times and captured %d times", a, n)
	}
}

// died kills between the provider's answer and the store: the bank has done it, and nobody here knows.
func (c *checkout) died(t *testing.T) {
	var orders []order
	for range 20 {
		o := newOrder(100, sandbox.Approve)
		if err := c.stored(o.authorise()); err != nil {
			t.Fatal(err)
		}
		i, err := c.store.IntentOfOrder(t.Context(), o.id)
		if err != nil {
			t.Fatal(err)
		}
		key := app.OperationKey{IntentID: i.ID, Kind: app.OpAuthorise}
		if _, err := c.bank.Authorise(t.Context(), i.Request(key, i.Amount, "")); err != nil {
			t.Fatal(err)
		}
		orders = append(orders, o)
	}
	for _, o := range orders {
		c.becomes(o, app.IsAuthorised)
		if err := c.stored(o.capture()); err != nil {
			t.Fatal(err)
		}
		i, err := c.store.IntentOfOrder(t.Context(), o.id)
		if err != nil {
			t.Fatal(err)
		}
		key := app.OperationKey{IntentID: i.ID, Kind: app.OpCapture}
		if _, err := c.bank.Capture(t.Context(), i.Request(key, i.Amount, "")); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range orders {
		c.awaits(o, app.EventAuthorised, app.EventCaptured)
		if a, n := c.entries(o, app.Authorised), c.entries(o, app.Captured); a != 1 || n != 1 || c.entries(o, app.Failed) != 0 {
			t.Errorf("the bank has authorised %d times and captured %d times", a, n)
		}
	}
}

func (c *checkout) silence(t *testing.T) {
	o := newOrder(100, sandbox.Timeout)
	o.deadline = time.Now().Add(300 * time.Millisecond)
	c.obey(o.authorise())
	got := c.awaits(o, app.EventDeclined, app.EventVoided)
	if got[0].data.Reason != app.ReasonTimeout {
		t.Errorf("declined: %+v", got[0].data)
	}
	if b := c.books(o); b.Held != 0 || c.entries(o, app.Authorised) != 1 || c.entries(o, app.Voided) != 1 {
		t.Errorf("the bank holds %+v", b)
	}
	late := newOrder(100, sandbox.Approve)
	late.deadline = time.Now().Add(-time.Second)
	c.obey(late.authorise())
	if got := c.awaits(late, app.EventDeclined); got[0].data.Reason != app.ReasonDeadline || c.entries(late, app.Authorised) != 0 {
		t.Errorf("after its deadline: %+v", got)
	}
}

func (c *checkout) lateWebhook(t *testing.T) {
	o, voided := newOrder(100, sandbox.LateWebhook), newOrder(100, sandbox.LateWebhook)
	c.obey(o.authorise(), voided.authorise())
	payments := app.New(c.store, app.NewWorker(c.store, nil, app.WorkerOptions{}), app.Options{Providers: []app.Provider{c.bank}})
	c.until(func() bool { return c.entries(o, app.Processing)+c.entries(voided, app.Processing) == 2 })
	c.obey(voided.void())
	c.becomes(voided, app.IsVoided)
	notify := func(o order, id, kind, outcome string) error {
		i, err := c.store.IntentOfOrder(t.Context(), o.id)
		if err != nil {
			t.Fatal(err)
		}
		header, body := signed(id, i.ID, kind, outcome)
		return payments.Notice(t.Context(), sandbox.Name, header, body)
	}
	var wg sync.WaitGroup
	for _, n := range [][2]string{{"evt_1", "captured"}, {"evt_2", "refunded"}} { // before what they are about: of no effect
		if err := notify(o, n[0], map[string]string{"captured": "capture", "refunded": "refund"}[n[1]], n[1]); err != nil {
			t.Error(err)
		}
	}
	for range 8 {
		wg.Go(func() {
			if err := errors.Join(notify(o, "evt_3", "authorise", "authorised"), notify(voided, "evt_4", "authorise", "authorised")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := notify(o, "evt_5", "authorise", "declined"); err != nil { // a contradiction, too late
		t.Error(err)
	}
	c.becomes(o, app.IsAuthorised)
	c.obey(o.void()) // the bank has it in progress still: its books are not what the webhooks of this test say
	c.awaits(o, app.EventAuthorised, app.EventVoided)
	c.awaits(voided, app.EventVoided)
}

func (c *checkout) refundRace(t *testing.T) {
	o := newOrder(1000, sandbox.Approve)
	c.obey(o.authorise())
	c.becomes(o, app.IsAuthorised)
	c.obey(o.capture())
	c.becomes(o, app.IsCaptured)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { c.obey(o.refund(uuid.New(), eur(300))) })
	}
	wg.Wait()
	c.until(func() bool { return len(c.told(o)) == 22 })
	if b := c.books(o); b.Refunded != 900 || c.entries(o, app.Refunded) != 3 || c.entries(o, app.Failed) != 0 {
		t.Errorf("of 1000, refunds of 300 have given back %d", b.Refunded)
	}
}

func (c *checkout) poison(t *testing.T) {
	o := newOrder(100, sandbox.Approve)
	c.obey(o.authorise())
	c.becomes(o, app.IsAuthorised)
	dearer, other := o, o
	dearer.amount, other.user = eur(101), uuid.New()
	id := uuid.New()
	for name, m := range map[string]kafka.Message{
		"another amount": dearer.authorise(), "another user": other.authorise(),
		"zero":     newOrder(0, sandbox.Approve).authorise(),
		"negative": newOrder(-5, sandbox.Approve).authorise(),
		"2^53":     newOrder(1<<53, sandbox.Approve).authorise(),
		"2^63":     message(events.Refund, id, jsontext.Value(`{"order_id":"`+id.String()+`","refund_id":"`+id.String()+`","amount":{"amount":9223372036854775808,"currency":"EUR"}}`)),
		"fraction": message(events.Refund, id, jsontext.Value(`{"order_id":"`+id.String()+`","refund_id":"`+id.String()+`","amount":{"amount":1.5,"currency":"EUR"}}`)),
		"nowhere":  message(events.Refund, id, jsontext.Value(`{"order_id":"`+id.String()+`","refund_id":"`+id.String()+`","amount":{"amount":1,"currency":"XXX"}}`)),
		"no order": message(events.Capture, id, jsontext.Value(`{}`)),
		"injected": newOrder(1, "x'; DROP TABLE ledger; --").authorise(),
	} {
		if err := c.stored(m); err == nil || errs.KindOf(err) == errs.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.awaits(o, app.EventAuthorised)
	c.obey(o.void())
}

func (c *checkout) constraints(t *testing.T) {
	o := newOrder(100, sandbox.Approve)
	c.obey(o.authorise())
	c.becomes(o, app.IsAuthorised)
	c.obey(o.capture())
	i := c.becomes(o, app.IsCaptured)
	for _, sql := range []string{
		"INSERT INTO ledger VALUES ($1, 'capture', '00000000-0000-0000-0000-000000000000', 'a', 'b', 1, 'EUR')",
		"INSERT INTO ledger VALUES ($1, 'refund', gen_random_uuid(), 'a', 'a', 1, 'EUR')",
		"INSERT INTO ledger VALUES ($1, 'refund', gen_random_uuid(), 'a', 'b', -1, 'EUR')",
		"UPDATE ledger SET amount = amount + 1 WHERE intent_id = $1",
		"DELETE FROM ledger WHERE intent_id = $1",
		"UPDATE intents SET refunded = captured + 1 WHERE id = $1",
		"UPDATE intents SET refunding = 60, refunded = 60 WHERE id = $1",
		"UPDATE intents SET captured = captured + 1 WHERE id = $1",
		"UPDATE intents SET status = 'voided' WHERE id = $1",
	} {
		if _, err := c.pool.Exec(t.Context(), sql, i.ID); err == nil {
			t.Errorf("%s: done", sql)
		}
	}
}

func (c *checkout) batch(t *testing.T) {
	const n = 100
	var orders []order
	var authorise, second []kafka.Message
	for k := range n {
		o := newOrder(int64(100+k), []string{sandbox.Approve, sandbox.Decline}[k%2])
		orders, authorise = append(orders, o), append(authorise, o.authorise())
	}
	c.obey(authorise...)
	for k, o := range orders {
		c.becomes(o, []app.Status{app.IsAuthorised, app.IsDeclined}[k%2])
		if second = append(second, o.capture()); k%4 == 0 {
			second = append(second, o.void(), o.refund(uuid.New(), eur(1)))
		}
	}
	c.obey(second...)
	for k, o := range orders {
		c.becomes(o, []app.Status{app.IsCaptured, app.IsDeclined}[k%2])
	}
}

// signed is a webhook of the sandbox's.
func signed(id string, intent uuid.UUID, kind, outcome string) (http.Header, []byte) {
	body := fmt.Appendf(nil, `{"id":%q,"created":%d,"kind":%q,"payment":%q,"outcome":%q,"reference":"sbx_x"}`, id, time.Now().Unix(), kind, intent, outcome)
	return http.Header{sandbox.SignatureHeader: {sandbox.Sign("secret", body, time.Now())}}, body
}
