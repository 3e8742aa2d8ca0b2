package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/services/payments/app"
)

// SignatureHeader is "t=<seconds since 1970>,v1=<hex>": the HMAC-SHA256 of "<t>.<body>", in the way of Stripe's.
const SignatureHeader = "Souk-Sandbox-Signature"

// tolerance is how far the time of a signature may be from ours.
const tolerance = 5 * time.Minute

var errNoSecret = errors.New("secret/souk/payments in Vault has no sandbox_webhook_secret")

// notice is the body of a webhook.
type notice struct {
	ID        string      `json:"id"`
	Created   int64       `json:"created"` // seconds since 1970
	Kind      app.Kind    `json:"kind"`
	Payment   uuid.UUID   `json:"payment"`
	Refund    uuid.UUID   `json:"refund,omitzero"`
	Outcome   app.Outcome `json:"outcome"`
	Reference string      `json:"reference"`
	Reason    string      `json:"reason,omitempty"`
}

// Sign is the header's value for a body that is sent at a time.
func Sign(secret string, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(secret, t, body))
}

func mac(secret, t string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(h, "%s.", t)
	h.Write(body)
	return h.Sum(nil)
}

// ParseWebhook implements app.Provider.
func (b *Bank) ParseWebhook(header http.Header, body []byte, now time.Time) (app.Notice, error) {
	if err := b.verify(header.Values(SignatureHeader), body, now); err != nil {
		return app.Notice{}, err
	}
	var n notice
	if err := json.Unmarshal(body, &n); err != nil || n.ID == "" || len(n.ID) > 200 || n.Payment == uuid.Nil {
		return app.Notice{}, errs.New(errs.Invalid, "bad-webhook", "the body is none of the sandbox's").Because(err)
	}
	return app.Notice{
		ID: n.ID, Kind: n.Kind, IntentID: n.Payment, RefundID: n.Refund, At: time.Unix(n.Created, 0),
		Result: app.Result{Outcome: n.Outcome, Reference: n.Reference, Reason: n.Reason},
	}, nil
}

// verify wants one header with one time, and one signature that a secret of ours made. The signature is looked at first:
// a time that nobody signed says nothing.
func (b *Bank) verify(headers []string, body []byte, now time.Time) error {
	if len(headers) != 1 || len(headers[0]) > 1000 {
		return app.ErrBadSignature
	}
	t, signatures := "", [][]byte(nil)
	for part := range strings.SplitSeq(headers[0], ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			if t != "" {
				return app.ErrBadSignature
			}
			t = value
		case "v1":
			if raw, err := hex.DecodeString(value); err == nil {
				signatures = append(signatures, raw)
			}
		}
	}
	good := false
	for _, secret := range b.Secrets() {
		want := mac(secret, t, body)
		for _, s := range signatures {
			good = good || secret != "" && hmac.Equal(s, want)
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	switch {
	case !good || err != nil:
		return app.ErrBadSignature
	case now.Sub(time.Unix(seconds, 0)).Abs() > tolerance:
		return app.ErrStaleSignature
	}
	return nil
}
