package stripe

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	stripego "github.com/stripe/stripe-go/v83"

	"souk/services/payments/app"
)

// tolerance is how far a signature's time may be from ours.
const tolerance = 5 * time.Minute

// object is what matters of the PaymentIntent or refund that an event is about.
type object struct {
	ID               string            `json:"id"`
	Status           string            `json:"status"`
	Metadata         map[string]string `json:"metadata"`
	FailureReason    string            `json:"failure_reason"`
	LastPaymentError *struct {
		Code        stripego.ErrorCode   `json:"code"`
		DeclineCode stripego.DeclineCode `json:"decline_code"`
	} `json:"last_payment_error"`
}

// ParseWebhook implements app.Provider.
func (p *Provider) ParseWebhook(header http.Header, body []byte, now time.Time) (app.Notice, error) {
	signature := header.Get("Stripe-Signature")
	genuine := false
	for _, secret := range p.opts.WebhookSecrets() {
		// An empty key would let everybody sign. Age is judged below, by the caller's clock.
		genuine = genuine || secret != "" && stripego.ValidatePayload(body, signature, secret, stripego.WithIgnoreTolerance()) == nil
	}
	if !genuine {
		return app.Notice{}, app.ErrBadSignature
	}
	if age := now.Sub(signedAt(signature)).Abs(); age > tolerance {
		return app.Notice{}, app.ErrStaleSignature
	}
	var event struct {
		ID      string `json:"id"`
		Type    string `json:"type"`
		Created int64  `json:"created"`
		Data    struct {
			Object object `json:"object"`
		} `json:"data"`
	}
	// What is signed is Stripe's. One that is of another shape is of another kind: nothing that matters.
	if err := json.Unmarshal(body, &event); err != nil {
		return app.Notice{}, nil //nolint:nilerr // to refuse it would only bring it again
	}
	n := app.Notice{ID: event.ID, At: time.Unix(event.Created, 0).UTC()}
	return event.Data.Object.notice(n, event.Type), nil
}

// notice fills in what an event of this type says of the object; the Kind stays "" if that is nothing of ours.
func (o object) notice(n app.Notice, kind string) app.Notice {
	intent, err := uuid.Parse(o.Metadata[metaIntent])
	if err != nil || o.Metadata[metaTombstone] != "" {
		return n
	}
	n.IntentID, n.Result.Reference = intent, o.ID
	switch kind {
	case "payment_intent.amount_capturable_updated":
		n.Kind, n.Result.Outcome = app.OpAuthorise, app.Authorised
	case "payment_intent.payment_failed":
		n.Kind, n.Result.Outcome, n.Result.Reason = app.OpAuthorise, app.Declined, o.reason()
	case "payment_intent.succeeded":
		n.Kind, n.Result.Outcome = app.OpCapture, app.Captured
	case "payment_intent.canceled":
		n.Kind, n.Result.Outcome = app.OpVoid, app.Voided
	case "refund.created", "refund.updated", "refund.failed", "charge.refund.updated":
		n.RefundID, err = uuid.Parse(o.Metadata[metaRefund])
		result := refunded(&stripego.Refund{ID: o.ID, Status: stripego.RefundStatus(o.Status), FailureReason: stripego.RefundFailureReason(o.FailureReason)})
		if err == nil && result.Outcome != app.Processing {
			n.Kind, n.Result = app.OpRefund, result
		}
	}
	return n
}

func (o object) reason() string {
	if o.LastPaymentError == nil {
		return "declined"
	}
	return reason(&stripego.Error{Code: o.LastPaymentError.Code, DeclineCode: o.LastPaymentError.DeclineCode})
}

// signedAt is the time in a signature that is known to be good: "t=1492774577,v1=...". The last one counts, as it does for
// what checks the signature: else a new time before the old one would make an old notice fresh.
func signedAt(signature string) (at time.Time) {
	for part := range strings.SplitSeq(signature, ",") {
		if text, ok := strings.CutPrefix(part, "t="); ok {
			seconds, _ := strconv.ParseInt(text, 10, 64)
			at = time.Unix(seconds, 0)
		}
	}
	return at
}
