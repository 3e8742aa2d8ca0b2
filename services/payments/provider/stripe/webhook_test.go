package stripe_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	stripego "github.com/stripe/stripe-go/v83"

	"souk/services/payments/app"
	"souk/services/payments/provider/stripe"
)

const (
	secret = "whsec_new"
	intID  = "0198c5d2-7d3e-7c4a-8a52-0d9a5a0f6a11"
	refID  = "0198c5d2-7d3e-7c4a-8a52-0d9a5a0f6a12"
)

func notices(secrets ...string) *stripe.Provider {
	return stripe.New(stripe.Options{APIKey: func() string { return "" }, WebhookSecrets: func() []string { return secrets }})
}

func signed(at time.Time, body, secret string) string {
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(stripego.ComputeSignature(at, []byte(body), secret)))
}

func TestAWebhookCountsOnlyWithAFreshSignature(t *testing.T) {
	now := time.Now()
	body := `{"id":"evt_1","type":"payment_intent.succeeded","created":1700000000,"data":{"object":{"id":"pi_1","metadata":{"intent_id":"` + intID + `"}}}}`
	old := now.Add(-6 * time.Minute)
	p := notices(secret, "whsec_old")
	for name, test := range map[string]struct {
		provider  *stripe.Provider
		signature string
		want      error
	}{
		"good":                     {p, signed(now, body, secret), nil},
		"the secret before":        {p, signed(now, body, "whsec_old"), nil},
		"none":                     {p, "", app.ErrBadSignature},
		"of another secret":        {p, signed(now, body, "whsec_other"), app.ErrBadSignature},
		"of another body":          {p, signed(now, body+" ", secret), app.ErrBadSignature},
		"too old":                  {p, signed(old, body, secret), app.ErrStaleSignature},
		"of the future":            {p, signed(now.Add(6*time.Minute), body, secret), app.ErrStaleSignature},
		"old, with a new time":     {p, fmt.Sprintf("t=%d,", now.Unix()) + signed(old, body, secret), app.ErrStaleSignature},
		"we have no secret":        {notices(), signed(now, body, ""), app.ErrBadSignature},
		"we have an empty secret":  {notices(""), signed(now, body, ""), app.ErrBadSignature},
		"of the scheme for tests":  {p, fmt.Sprintf("t=%d,v0=00", now.Unix()), app.ErrBadSignature},
		"of another time than its": {p, fmt.Sprintf("t=%d,v1=", now.Unix()) + signed(old, body, secret)[len("t=1700000000,v1="):], app.ErrBadSignature},
	} {
		n, err := test.provider.ParseWebhook(http.Header{"Stripe-Signature": {test.signature}}, []byte(body), now)
		if !errors.Is(err, test.want) || (err == nil) != (n.Kind == app.OpCapture) {
			t.Errorf("%s: got %+v, %v; want %v", name, n, err, test.want)
		}
	}
}

func TestWebhooksTellWhatBecameOfPayments(t *testing.T) {
	intent, refund := uuid.MustParse(intID), uuid.MustParse(refID)
	for _, test := range []struct {
		kind, object string
		want         app.Notice
	}{
		{"payment_intent.amount_capturable_updated", `"id":"pi_1","metadata":{"intent_id":"` + intID + `"}`,
			app.Notice{Kind: app.OpAuthorise, IntentID: intent, Result: app.Result{Outcome: app.Authorised, Reference: "pi_1"}}},
		{"payment_intent.payment_failed", `"id":"pi_1","metadata":{"intent_id":"` + intID + `"},"last_payment_error":{"code":"card_declined","decline_code":"lost_card"}`,
			app.Notice{Kind: app.OpAuthorise, IntentID: intent, Result: app.Result{Outcome: app.Declined, Reference: "pi_1", Reason: "generic_decline"}}},
		{"payment_intent.canceled", `"id":"pi_1","metadata":{"intent_id":"` + intID + `"}`,
			app.Notice{Kind: app.OpVoid, IntentID: intent, Result: app.Result{Outcome: app.Voided, Reference: "pi_1"}}},
		{"refund.updated", `"id":"re_1","status":"failed","failure_reason":"lost_or_stolen_card","metadata":{"intent_id":"` + intID + `","refund_id":"` + refID + `"}`,
			app.Notice{Kind: app.OpRefund, IntentID: intent, RefundID: refund, Result: app.Result{Outcome: app.Failed, Reference: "re_1", Reason: "lost_or_stolen_card"}}},
		// Nothing that matters: under way, a tombstone, somebody else's, of another kind, of another shape.
		{"refund.created", `"id":"re_1","status":"pending","metadata":{"intent_id":"` + intID + `","refund_id":"` + refID + `"}`, app.Notice{}},
		{"payment_intent.canceled", `"id":"pi_1","metadata":{"intent_id":"` + intID + `","tombstone":"true"}`, app.Notice{}},
		{"payment_intent.succeeded", `"id":"pi_1","metadata":{}`, app.Notice{}},
		{"customer.created", `"id":"cus_1","metadata":{"intent_id":"` + intID + `"}`, app.Notice{}},
		{"balance.available", `"available":[],"metadata":7`, app.Notice{}},
	} {
		body := `{"id":"evt_1","type":"` + test.kind + `","created":1700000000,"data":{"object":{` + test.object + `}}}`
		now := time.Now()
		n, err := notices(secret).ParseWebhook(http.Header{"Stripe-Signature": {signed(now, body, secret)}}, []byte(body), now)
		if err != nil || n.Kind != test.want.Kind {
			t.Errorf("%s: got %+v, %v", test.kind, n, err)
			continue
		}
		test.want.ID, test.want.At = n.ID, n.At
		if n.Kind != "" && (n != test.want || n.ID != "evt_1") {
			t.Errorf("%s: got %+v, want %+v", test.kind, n, test.want)
		}
	}
}
