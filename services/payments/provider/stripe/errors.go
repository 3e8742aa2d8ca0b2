package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	stripego "github.com/stripe/stripe-go/v83"
)

// errorKind is what an error says about the call.
type errorKind uint8

const (
	away    errorKind = iota // no answer, "later", "who are you?": try again
	refused                  // a definite no, and nothing was done
	keyUsed                  // the idempotency key came before, with another request
	fault                    // Stripe's own, which may have happened after the work; repeated with the key it comes again
)

func kindOf(err error) errorKind {
	var e *stripego.Error
	if !errors.As(err, &e) {
		return away
	}
	switch {
	case e.Type == stripego.ErrorTypeIdempotency:
		return keyUsed
	case e.HTTPStatusCode >= 500:
		return fault
	case e.Type == stripego.ErrorTypeCard:
		return refused
	case e.Code == stripego.ErrorCodeLockTimeout, e.Code == stripego.ErrorCodeRateLimit, e.Code == "idempotency_key_in_use":
		return away
	case e.HTTPStatusCode == http.StatusBadRequest, e.HTTPStatusCode == http.StatusPaymentRequired, e.HTTPStatusCode == http.StatusNotFound:
		return refused
	}
	return away // 401 and 403 too: the key in Vault is to be mended, not the payment
}

// refusal is a definite no.
type refusal struct {
	reason string
	intent *stripego.PaymentIntent // that Stripe made nevertheless, if it did
}

func (r refusal) reference() string {
	if r.intent == nil {
		return ""
	}
	return r.intent.ID
}

func refusalOf(err error) (refusal, bool) {
	var e *stripego.Error
	if kindOf(err) != refused || !errors.As(err, &e) {
		return refusal{}, false
	}
	return refusal{reason: reason(e), intent: e.PaymentIntent}, true
}

// reason is why, for programs. That a card is reported stolen is for nobody who may hold it: Stripe asks to keep that back
// (https://docs.stripe.com/declines/codes).
func reason(e *stripego.Error) string {
	switch e.DeclineCode {
	case "":
	case stripego.DeclineCodeFraudulent, stripego.DeclineCodeLostCard, stripego.DeclineCodeStolenCard, stripego.DeclineCodeMerchantBlacklist, stripego.DeclineCodePickupCard:
		return string(stripego.DeclineCodeGenericDecline)
	default:
		return string(e.DeclineCode)
	}
	if e.Code != "" {
		return string(e.Code)
	}
	return "declined"
}

// unknown is an error for logs. Stripe's own would show the whole answer, client secrets included, so it is not wrapped.
func unknown(err error) error {
	var e *stripego.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("stripe: %w", err)
	}
	return fmt.Errorf("stripe: status %d, %s %s, request %s", e.HTTPStatusCode, e.Type, e.Code, e.RequestID)
}

// quoted is a text in Stripe's search language.
func quoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
