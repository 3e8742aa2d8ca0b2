package app

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// WebhookDeliveryStatus of a delivery.
type WebhookDeliveryStatus string

// Statuses of a delivery.
const (
	DeliveryPending   WebhookDeliveryStatus = "pending"
	DeliveryDelivered WebhookDeliveryStatus = "delivered" // a receiver's 2xx
	DeliveryFailed    WebhookDeliveryStatus = "failed"    // given up
)

// WebhookDelivery is one event on its way to one endpoint, in the shape that the API shows.
type WebhookDelivery struct {
	ID            uuid.UUID             `json:"id"` // webhook-id, the same with every attempt: WebhookDeliveryID
	EndpointID    uuid.UUID             `json:"endpoint_id"`
	EventType     string                `json:"event_type"`
	Subject       string                `json:"subject"` // the event's: the order, or the payment intent
	Status        WebhookDeliveryStatus `json:"status"`
	CreatedAt     time.Time             `json:"created_at"`                // whole milliseconds, UTC, like the others
	FinishedAt    *time.Time            `json:"finished_at,omitempty"`     //
	NextAttemptAt *time.Time            `json:"next_attempt_at,omitempty"` // while it is pending
	Attempts      []WebhookAttempt      `json:"attempts"`                  // oldest first, the last WebhookAttemptsShown
}

// WebhookAttemptsShown is how many attempts a delivery in a list shows.
const WebhookAttemptsShown = 20

// WebhookAttempt is a line of the log. Of the receiver's answer nothing but the status is kept.
type WebhookAttempt struct {
	Number     int       `json:"number"` // from 1; one that is missing was cut off by the end of our program
	At         time.Time `json:"at"`
	DurationMS int64     `json:"duration_ms"`
	StatusCode int       `json:"status_code,omitempty"` // 0: there was no answer
	Problem    string    `json:"problem,omitempty"`     // for programs: "timeout", "status"
}

// Errors about deliveries.
var (
	ErrNoWebhookDelivery = errs.New(errs.NotFound, "delivery-not-found", "there is no delivery with this id, or not any more")
	ErrWebhookDisabled   = errs.New(errs.Conflict, "webhook-endpoint-disabled", "the endpoint is disabled; enable it first")
)

// WebhookDeliveryID follows from the endpoint and the event, whose source and id are unique together (CloudEvents 1.0):
// what is delivered twice to us is one delivery to others. It is a UUIDv7, so that lists by id are in the order of the
// events' times.
func WebhookDeliveryID(endpoint uuid.UUID, source, event string, at time.Time) uuid.UUID {
	h := sha256.New()
	h.Write(endpoint[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(source))))
	h.Write([]byte(source + event))
	id := uuid.UUID(h.Sum(nil)[:16])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(at.UnixMilli(), 0)))
	copy(id[:6], ms[2:])
	id[6], id[8] = 0x70|id[6]&0x0f, 0x80|id[8]&0x3f // version and variant: RFC 9562, section 5.7
	return id
}

// webhookWaits are those before the second and each further attempt, as Standard Webhooks recommends them: about 75 hours.
func webhookWaits() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

// maxRetryAfter bounds what a receiver may ask for.
const maxRetryAfter = 6 * time.Hour

// WebhookRetry is how long to wait after so many attempts, a tenth more or less so that what failed together doesn't come
// back together, and at least what the receiver asked for by Retry-After. again is false when it is time to give up.
func WebhookRetry(attempts int, retryAfter time.Duration) (wait time.Duration, again bool) {
	waits := webhookWaits()
	if attempts < 1 || attempts > len(waits) {
		return 0, false
	}
	wait = waits[attempts-1]
	wait += time.Duration((rand.Float64() - 0.5) * 0.2 * float64(wait)) //nolint:gosec // no secret
	return max(wait, min(retryAfter, maxRetryAfter)), true
}
