package app

import (
	"time"

	"github.com/google/uuid"
)

// WebhookSubscription is what an enabled endpoint wants.
type WebhookSubscription struct {
	Endpoint uuid.UUID
	Patterns []string
	Failing  bool // its last deliveries did not work
}

// NewWebhookDelivery is to be stored.
type NewWebhookDelivery struct {
	ID, Endpoint                    uuid.UUID
	EventType, Subject, Traceparent string
	Body                            []byte
}

// WebhookSlots is how many deliveries of an endpoint may be claimed.
type WebhookSlots struct {
	Endpoint uuid.UUID
	Free     int
}

// WebhookClaim is a delivery that this instance alone may send, for as long as its lease lasts.
type WebhookClaim struct {
	ID, Endpoint, Lease uuid.UUID
	URL                 string
	Secrets             []string // sealed, newest first
	Body                []byte
	EventType           string
	Traceparent         string
	Attempts            int // begun, this one included, since it was last asked for
}

// WebhookOutcome of an attempt.
type WebhookOutcome struct {
	At          time.Time
	Duration    time.Duration
	StatusCode  int    // 0: there was no answer
	Problem     string // "": it was delivered
	Again       bool   // it is tried again after Wait
	Wait        time.Duration
	Gone        bool // the receiver wants no more: its endpoint is disabled
	Interrupted bool // by our own end: it says nothing of the receiver
}
