package events

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/contracts"
	kafka "souk/internal/events"
	"souk/services/orders/app"
)

var (
	order  = uuid.MustParse("0197a3c0-9b51-7a10-8c27-6d1b4f0e2a33")
	refund = uuid.MustParse("0197a3c0-9b51-7a10-8c27-6d1b4f0e2a34")
)

func said(topic, kind, data string) kafka.Message {
	e := kafka.New(uuid.NewString(), "/test", kind, []byte(data))
	e.SetSubject(order.String())
	e.SetTime(time.Now())
	e.SetDataSchema(contracts.Schema(kind))
	return kafka.Message{Topic: topic, Key: order.String(), Event: e}
}

// taken is what the handler gives to the store.
type taken struct {
	replies []app.Reply
	erased  []uuid.UUID
	err     error
}

func (s *taken) HandleReplies(_ context.Context, _ pgx.Tx, replies []app.Reply, _ app.Deadlines) error {
	s.replies = append(s.replies, replies...)
	return s.err
}

func (s *taken) EraseUser(_ context.Context, _ pgx.Tx, user uuid.UUID) error {
	s.erased = append(s.erased, user)
	return nil
}

func TestRepliesAreReadAsTheContractHasThem(t *testing.T) {
	amount := `{"amount":1290,"currency":"EUR"}`
	intent := refund.String()
	for _, x := range []struct {
		kind, data string
		want       app.Fact
		currency   string
	}{
		{reservation + "reserved.v1", `"expires_at":"2026-01-02T03:04:05Z","lines":[{"sku":"lamp","location":"main","quantity":1}]`, app.StockReserved{ExpiresAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, ""},
		{reservation + "rejected.v1", `"reason":"insufficient_stock","shortages":[{"sku":"lamp","requested":2,"available":1}]`, app.StockRejected{Reason: "insufficient_stock", Shortages: []app.Shortage{{SKU: "lamp", Requested: 2, Available: 1}}}, ""},
		{reservation + "expired.v1", ``, app.StockExpired{}, ""},
		{reservation + "committed.v1", ``, app.StockCommitted{}, ""},
		{reservation + "commit_failed.v1", `"reason":"expired"`, app.StockCommitFailed{Reason: "expired"}, ""},
		{reservation + "released.v1", `"reason":"cancelled","restocked":true`, app.StockReleased{Restocked: true}, ""},
		{payment + "authorised.v1", `"intent_id":"` + intent + `","provider":"sandbox","amount":` + amount, app.PaymentAuthorised{Intent: intent, Amount: 1290}, "EUR"},
		{payment + "declined.v1", `"intent_id":"` + intent + `","reason":"card_declined"`, app.PaymentDeclined{Intent: intent, Reason: "card_declined"}, ""},
		{payment + "captured.v1", `"intent_id":"` + intent + `","amount":` + amount, app.PaymentCaptured{Intent: intent, Amount: 1290}, "EUR"},
		{payment + "capture_failed.v1", `"intent_id":"` + intent + `","reason":"no"`, app.PaymentCaptureFailed{Reason: "no"}, ""},
		{payment + "voided.v1", `"intent_id":"` + intent + `","reason":"cancelled"`, app.PaymentVoided{}, ""},
		{payment + "refunded.v1", `"intent_id":"` + intent + `","refund_id":"` + refund.String() + `","reason":"x","amount":` + amount + `,"refunded_total":` + amount, app.PaymentRefunded{Refund: refund, Amount: 1290, RefundedTotal: 1290, Reason: "x"}, "EUR"},
		{payment + "refund_failed.v1", `"intent_id":"` + intent + `","refund_id":"` + refund.String() + `","reason":"no"`, app.RefundFailed{Refund: refund, Reason: "no"}, ""},
	} {
		data := `{"order_id":"` + order.String() + `"`
		if x.data != "" {
			data += "," + x.data
		}
		m := said(InventoryTopic, x.kind, data+"}")
		if err := contracts.Check(m); err != nil {
			t.Errorf("the test's event is not as the contract says: %v", err)
		}
		r, ok, err := readReply(m)
		if err != nil || !ok || r.Order != order || r.Currency != x.currency || !reflect.DeepEqual(r.Fact, x.want) {
			t.Errorf("%s: %+v, %t, %v", x.kind, r, ok, err)
		}
	}
}

func TestWhatIsNoReplyIsPassedOverAndWhatIsBrokenParked(t *testing.T) {
	id := `"order_id":"` + order.String() + `"`
	for data, kind := range map[string]string{
		`{"sku":"lamp","available":1,"threshold":2}`:                            "souk.inventory.stock.low.v1",
		`{"intent_id":"i","amount":{"amount":1,"currency":"EUR"}}`:              payment + "captured.v1",
		`{` + id + `,"anything":[1]}`:                                           payment + "disputed.v9",
		`{"order_id":null,"intent_id":"i","reason":"` + uuid.NewString() + `"}`: payment + "declined.v1",
	} {
		s := &taken{}
		if err := Handler(s, app.DefaultDeadlines)(t.Context(), nil, []kafka.Message{said(PaymentsTopic, kind, data)}); err != nil || len(s.replies) > 0 {
			t.Errorf("%s %s: %v", kind, data, err)
		}
	}
	for _, data := range []string{
		`{`, `[]`, `{"order_id":7}`, `{"order_id":"` + uuid.NewString() + `","amount":{"amount":1,"currency":"EUR"}}`, `{` + id + `}`,
		`{` + id + `,"amount":{"amount":1.5,"currency":"EUR"}}`, `{` + id + `,"amount":{"amount":9007199254740993,"currency":"EUR"}}`, `{` + id + `,"amount":{"amount":1,"currency":"XXX"}}`,
	} {
		s := &taken{}
		if err := Handler(s, app.DefaultDeadlines)(t.Context(), nil, []kafka.Message{said(PaymentsTopic, payment+"captured.v1", data)}); err == nil || len(s.replies) > 0 {
			t.Errorf("%s is taken in", data)
		}
	}
}

func TestOfABatchEverythingTakesEffectInItsOrder(t *testing.T) {
	s := &taken{}
	user := uuid.New()
	ms := []kafka.Message{
		said(InventoryTopic, reservation+"reserved.v1", `{"order_id":"`+order.String()+`"}`),
		said(UsersTopic, userErased, fmt.Sprintf(`{"user_id":%q}`, user)),
		said(InventoryTopic, reservation+"expired.v1", `{"order_id":"`+order.String()+`"}`),
	}
	if err := Handler(s, app.DefaultDeadlines)(t.Context(), nil, ms); err != nil {
		t.Fatal(err)
	}
	if len(s.replies) != 2 || s.replies[1].Fact != (app.StockExpired{}) || len(s.erased) != 1 || s.erased[0] != user {
		t.Errorf("%+v", s)
	}
}
