package seed

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refusal is an answer that is no success: a problem (RFC 9457) as the shop's servers
// send it, or whatever a proxy between says.
type refusal struct {
	Status    int
	Code      string `json:"code"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors"`
	after time.Duration // Retry-After
}

// maxQuote is how much of an answer that is no problem+json is shown.
const maxQuote = 200

func refused(resp *http.Response, body []byte) error {
	r := &refusal{}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media != "application/problem+json" || json.Unmarshal(body, r) != nil {
		text := strings.ToValidUTF8(string(body[:min(len(body), maxQuote)]), "")
		r = &refusal{Detail: strings.Join(strings.Fields(text), " ")}
	}
	r.Status = resp.StatusCode
	r.after = retryAfter(resp.Header.Get("Retry-After"))
	return r
}

// passing reports whether the same request may be answered otherwise soon.
func (r *refusal) passing() bool {
	switch r.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return r.Status == http.StatusConflict && r.Code == "idempotency-in-flight"
}

// Error has everything that the answer says: what is wrong, where, and the request's
// id, which the logs have too.
func (r *refusal) Error() string {
	text := fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status))
	if r.Detail != "" {
		text += ": " + r.Detail
	} else if r.Code != "" {
		text += ": " + r.Code
	}
	for _, e := range r.Errors {
		text += fmt.Sprintf(" [%s: %s]", e.Pointer, e.Detail)
	}
	if r.after > 0 {
		text += fmt.Sprintf(" (it asks to wait %s)", r.after)
	}
	if r.RequestID != "" {
		text += " (request " + r.RequestID + ")"
	}
	return text
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3); 0 is neither.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at).Round(time.Second))
	}
	return 0
}

// isTaken reports whether err says that the shop has such an object already.
func isTaken(err error, codes ...string) bool {
	r := (*refusal)(nil)
	if !errors.As(err, &r) || r.Status != http.StatusConflict {
		return false
	}
	for _, code := range codes {
		if r.Code == code {
			return true
		}
	}
	return false
}
