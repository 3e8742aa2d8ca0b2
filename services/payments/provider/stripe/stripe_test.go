package stripe_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/internal/money"
	"souk/services/payments/app"
)

const (
	create = "POST /v1/payment_intents"
	search = "GET /v1/payment_intents/search"
	intent = "/v1/payment_intents/pi_1"
)

var (
	inUse     = failure{status: 409, kind: "invalid_request_error", code: "idempotency_key_in_use"}
	otherUse  = failure{status: 400, kind: "idempotency_error"}
	broken    = failure{status: 500, kind: "api_error"}
	poor      = failure{status: 402, kind: "card_error", code: "card_declined", declineBy: "insufficient_funds", intent: map[string]any{"id": "pi_1", "object": "payment_intent", "status": "requires_payment_method", "client_secret": "pi_1_secret_abc"}}
	notNow    = failure{status: 400, kind: "invalid_request_error", code: "payment_intent_unexpected_state"}
	forbidden = failure{status: 401, kind: "invalid_request_error"}
	limited   = failure{status: 429, kind: "invalid_request_error", code: "rate_limit"}
)

func request(t *testing.T) app.Request {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	return app.Request{
		OperationID: id.String() + ":authorise", AuthoriseID: id.String() + ":authorise", IntentID: id, OrderID: uuid.New(),
		Amount: money.Amount{Minor: 1290, Currency: "EUR"}, Method: "pm_card_visa",
	}
}

func want(t *testing.T, got app.Result, err error, outcome app.Outcome, reason string) {
	t.Helper()
	if err != nil || got.Outcome != outcome || got.Reason != reason {
		t.Errorf("got %+v, %v; want %s %q", got, err, outcome, reason)
	}
}

func wantCalls(t *testing.T, a *api, names ...string) {
	t.Helper()
	if got := a.called(); !slices.Equal(got, names) {
		t.Errorf("Stripe got %q, want %q", got, names)
	}
}

func TestAPaymentIsHeldTakenAndGivenBack(t *testing.T) {
	a, p := serve(t)
	r := request(t)
	a.states[create] = map[string]any{"id": "pi_1", "status": "requires_capture"}
	held, err := p.Authorise(t.Context(), r)
	want(t, held, err, app.Authorised, "")
	form := a.last().Form
	for name, value := range map[string]string{
		"amount": "1290", "currency": "eur", "capture_method": "manual", "confirm": "true", "payment_method": "pm_card_visa",
		"metadata[intent_id]": r.IntentID.String(), "metadata[order_id]": r.OrderID.String(), "metadata[operation_id]": r.OperationID,
	} {
		if form.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, form.Get(name), value)
		}
	}
	if a.last().Key != r.OperationID {
		t.Errorf("the idempotency key is %q", a.last().Key)
	}

	r.Reference, r.OperationID, r.Amount.Minor = held.Reference, "capture-1", 1000
	a.states["POST "+intent+"/capture"] = map[string]any{"id": "pi_1", "status": "succeeded", "amount_received": 1000}
	taken, err := p.Capture(t.Context(), r)
	want(t, taken, err, app.Captured, "")
	if c := a.last(); c.Form.Get("amount_to_capture") != "1000" || c.Key != "capture-1" {
		t.Errorf("captured with %+v", c)
	}

	r.OperationID, r.RefundID, r.Amount.Minor = "refund-1", uuid.New(), 400
	a.states["POST /v1/refunds"] = map[string]any{"id": "re_1", "status": "succeeded"}
	back, err := p.Refund(t.Context(), r)
	want(t, back, err, app.Refunded, "")
	if c := a.last(); c.Form.Get("payment_intent") != "pi_1" || c.Form.Get("amount") != "400" || c.Key != "refund-1" || c.Form.Get("metadata[refund_id]") != r.RefundID.String() {
		t.Errorf("refunded with %+v", c)
	}
	wantCalls(t, a, create, "POST "+intent+"/capture", "GET /v1/refunds", "POST /v1/refunds")

	a.states["GET "+intent] = map[string]any{"id": "pi_1", "status": "succeeded", "amount_received": 1000, "amount_capturable": 0}
	a.states["GET /v1/refunds"] = map[string]any{"has_more": false, "data": []any{map[string]any{"id": "re_1", "object": "refund", "status": "succeeded", "amount": 400}}}
	totals, err := p.Totals(t.Context(), []app.Request{r})
	if err != nil || totals[0] != (app.Totals{Captured: 1000, Refunded: 400, Known: true}) {
		t.Errorf("Stripe's books say %+v, %v", totals, err)
	}
}

func TestARefusalIsAnAnswerAndNothingElseIs(t *testing.T) {
	a, p := serve(t)
	stolen := failure{status: 402, kind: "card_error", code: "card_declined", declineBy: "stolen_card"}
	missing := failure{status: 400, kind: "invalid_request_error", code: "resource_missing"}
	for _, test := range []struct {
		f      failure
		reason string // "": the outcome is not known
	}{
		{poor, "insufficient_funds"}, {stolen, "generic_decline"}, {missing, "resource_missing"},
		{inUse, ""}, {limited, ""}, {forbidden, ""}, {broken, ""}, {otherUse, ""},
	} {
		a.fail(create, test.f)
		r := request(t)
		got, err := p.Authorise(t.Context(), r)
		if test.reason != "" {
			want(t, got, err, app.Declined, test.reason)
			continue
		}
		if err == nil {
			t.Errorf("%+v became %+v", test.f, got)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sk_test") {
			t.Errorf("the error tells too much: %v", err)
		}
	}
	a.answerBy(func(w http.ResponseWriter, _ call) bool {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
		return true
	})
	if got, err := p.Authorise(t.Context(), request(t)); err == nil {
		t.Errorf("a broken connection became %+v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	a.answerBy(func(http.ResponseWriter, call) bool { <-over; return true })
	if got, err := p.Authorise(ctx, request(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silence became %+v, %v", got, err)
	}
}

func TestAnAuthorisationThatComesAfterItsVoidIsRefused(t *testing.T) {
	a, p := serve(t)
	r := request(t)
	void := r
	void.OperationID = "void-1"
	a.states[create] = map[string]any{"id": "pi_1", "status": "requires_payment_method"}
	a.states["POST "+intent+"/cancel"] = map[string]any{"id": "pi_1", "status": "canceled"}
	got, err := p.Void(t.Context(), void)
	want(t, got, err, app.Voided, "")
	a.mu.Lock()
	grave := a.calls[1]
	a.mu.Unlock()
	if grave.Key != r.OperationID || grave.Form.Get("confirm") != "" || grave.Form.Get("payment_method") != "" {
		t.Errorf("the key of the authorisation is used up by %+v", grave)
	}
	wantCalls(t, a, search, create, "POST "+intent+"/cancel")

	a.fail(create, otherUse) // the key was the void's
	a.states[search] = found("canceled", r.OperationID)
	got, err = p.Authorise(t.Context(), r)
	want(t, got, err, app.Declined, "voided")
}

func TestAVoidFindsTheAuthorisationWhoseAnswerWasLost(t *testing.T) {
	a, p := serve(t)
	r := request(t)
	r.OperationID = "void-1"
	a.fail(create, otherUse) // the key was the authorisation's; repeated, it gets the answer that was lost
	a.states[create] = map[string]any{"id": "pi_1", "status": "requires_capture"}
	a.states["POST "+intent+"/cancel"] = map[string]any{"id": "pi_1", "status": "canceled"}
	got, err := p.Void(t.Context(), r)
	want(t, got, err, app.Voided, "")
	wantCalls(t, a, search, create, create, "POST "+intent+"/cancel")

	a.fail(create, otherUse, inUse) // it is at work just now: nobody knows
	if got, err := p.Void(t.Context(), r); err == nil {
		t.Errorf("an authorisation under way became %+v", got)
	}
	a.fail(create, otherUse, poor) // it was declined
	got, err = p.Void(t.Context(), r)
	want(t, got, err, app.Voided, "")
}

func TestWhatIsCapturedIsNotVoided(t *testing.T) {
	a, p := serve(t)
	r := request(t)
	r.Reference = "pi_1"
	a.states["GET "+intent] = map[string]any{"id": "pi_1", "status": "succeeded"}
	a.fail("POST "+intent+"/cancel", notNow, notNow)
	got, err := p.Void(t.Context(), r)
	want(t, got, err, app.Failed, "captured")
	a.states["GET "+intent]["status"] = "processing"
	if got, err := p.Void(t.Context(), r); err == nil {
		t.Errorf("a payment under way became %+v", got)
	}
}

func TestACaptureIsJudgedByTheStateThatItLeft(t *testing.T) {
	a, p := serve(t)
	r := request(t)
	r.Reference, r.OperationID = "pi_1", "capture-1"
	capture := "POST " + intent + "/capture"
	a.states[capture] = map[string]any{"id": "pi_1", "status": "succeeded", "amount_received": 1290}
	for _, test := range []struct {
		f        failure
		state    string
		received int
		outcome  app.Outcome
		reason   string
		calls    []string
	}{
		{notNow, "succeeded", 1290, app.Captured, "", []string{capture, "GET " + intent}},
		{notNow, "succeeded", 5, app.Failed, "captured_otherwise", []string{capture, "GET " + intent}},
		{notNow, "canceled", 0, app.Failed, "authorisation_ended", []string{capture, "GET " + intent}},
		{poor, "requires_capture", 0, app.Failed, "insufficient_funds", []string{capture, "GET " + intent}},
		{broken, "succeeded", 1290, app.Captured, "", []string{capture, "GET " + intent}},
		{broken, "requires_capture", 0, app.Captured, "", []string{capture, "GET " + intent, capture}},
	} {
		a.fail(capture, test.f)
		a.states["GET "+intent] = map[string]any{"id": "pi_1", "status": test.state, "amount_received": test.received}
		got, err := p.Capture(t.Context(), r)
		want(t, got, err, test.outcome, test.reason)
		wantCalls(t, a, test.calls...)
	}
}

func TestAForgottenKeyChargesNobodyTwice(t *testing.T) {
	a, p := serve(t)
	r := request(t)
	yesterday := time.Now().Add(-25 * time.Hour).UnixMilli()
	for i := range 6 {
		r.IntentID[i] = byte(yesterday >> (40 - 8*i))
	}
	a.states[search] = found("requires_capture", r.OperationID)
	got, err := p.Authorise(t.Context(), r)
	want(t, got, err, app.Authorised, "")
	wantCalls(t, a, search)

	r.Reference, r.OperationID, r.RefundID = "pi_1", "refund-1", uuid.New()
	a.states["GET /v1/refunds"] = map[string]any{"has_more": false, "data": []any{map[string]any{
		"id": "re_1", "object": "refund", "status": "succeeded", "metadata": map[string]any{"operation_id": "refund-1"},
	}}}
	got, err = p.Refund(t.Context(), r)
	want(t, got, err, app.Refunded, "")
	wantCalls(t, a, "GET /v1/refunds")
}

func TestALostAnswerCanBeLookedUp(t *testing.T) {
	a, p := serve(t)
	r := request(t)
	if got, err := p.Lookup(t.Context(), app.OpAuthorise, r); !errors.Is(err, app.ErrUnknownOperation) { // stripe-mock finds another's
		t.Errorf("got %+v, %v", got, err)
	}
	a.states[search] = found("requires_capture", r.OperationID)
	got, err := p.Lookup(t.Context(), app.OpAuthorise, r)
	want(t, got, err, app.Authorised, "")
	for _, kind := range []app.Kind{app.OpCapture, app.OpVoid} {
		if got, err := p.Lookup(t.Context(), kind, r); !errors.Is(err, app.ErrUnknownOperation) {
			t.Errorf("%s: got %+v, %v", kind, got, err)
		}
	}
	a.states[search] = found("canceled", r.OperationID)
	got, err = p.Lookup(t.Context(), app.OpVoid, r)
	want(t, got, err, app.Voided, "")
}

// found is a page of search results.
func found(status, operation string) map[string]any {
	return map[string]any{"has_more": false, "data": []any{map[string]any{
		"id": "pi_1", "object": "payment_intent", "status": status, "metadata": map[string]any{"operation_id": operation},
	}}}
}
