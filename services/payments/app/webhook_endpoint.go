package app

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// Limits of webhook endpoints.
const (
	MaxWebhookEndpoints   = 50 // of the shop
	MaxWebhookURL         = 2048
	MaxWebhookPatterns    = 20
	MaxWebhookDescription = 200
	MaxWebhookSecrets     = 3                  // that are good at the same time
	MaxSecretOverlap      = 7 * 24 * time.Hour // that a secret stays good beside its successor
)

// WebhookStatus of an endpoint.
type WebhookStatus string

// Statuses of an endpoint.
const (
	WebhookEnabled  WebhookStatus = "enabled"
	WebhookDisabled WebhookStatus = "disabled" // nothing is kept for it, and nothing sent
)

// Why an endpoint is disabled.
const (
	WebhookByRequest = "requested"
	WebhookFailing   = "failing" // for so long that nobody seems to miss it
	WebhookGone      = "gone"    // it answered 410
	WebhookBacklog   = "backlog" // more waits for it than is kept
)

// WebhookEndpoint is a receiver of events, in the shape that the API shows.
type WebhookEndpoint struct {
	ID           uuid.UUID     `json:"id"`      // UUIDv7
	Version      int64         `json:"version"` // from 1, one more with every change
	URL          string        `json:"url"`
	Events       []string      `json:"events"` // patterns: WebhookMatches
	Description  string        `json:"description"`
	Status       WebhookStatus `json:"status"`
	Reason       string        `json:"reason,omitempty"`        // of being disabled
	FailingSince *time.Time    `json:"failing_since,omitempty"` // no delivery has worked since
	CreatedAt    time.Time     `json:"created_at"`              // whole milliseconds, UTC, like the others
	UpdatedAt    time.Time     `json:"updated_at"`
}

// WebhookPatch is a change of an endpoint; nil leaves a member as it is.
type WebhookPatch struct {
	URL         *string
	Events      *[]string
	Description *string
	Status      *WebhookStatus
}

// NewWebhookEndpoint makes version 1, or says what is wrong (errs.Unprocessable).
func NewWebhookEndpoint(url string, events []string, description string, rules WebhookRules, now time.Time) (WebhookEndpoint, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return WebhookEndpoint{}, err
	}
	now = webhookMoment(now)
	e := WebhookEndpoint{
		ID: id, Version: 1, URL: url, Events: unique(events), Description: description, Status: WebhookEnabled, CreatedAt: now, UpdatedAt: now,
	}
	return e, e.check(rules)
}

// Change makes the next version. A change to what is so already makes none. To enable an endpoint is to forgive it its
// failures.
func (e *WebhookEndpoint) Change(p WebhookPatch, rules WebhookRules, now time.Time) error {
	next := *e
	if p.URL != nil {
		next.URL = *p.URL
	}
	if p.Events != nil {
		next.Events = unique(*p.Events)
	}
	if p.Description != nil {
		next.Description = *p.Description
	}
	if p.Status != nil && *p.Status != e.Status {
		next.Status, next.FailingSince, next.Reason = *p.Status, nil, ""
		if next.Status == WebhookDisabled {
			next.Reason = WebhookByRequest
		}
	}
	if err := next.check(rules); err != nil {
		return err
	}
	if next.URL == e.URL && slices.Equal(next.Events, e.Events) && next.Description == e.Description && next.Status == e.Status {
		return nil
	}
	next.Version, next.UpdatedAt = e.Version+1, webhookMoment(now)
	*e = next
	return nil
}

func (e *WebhookEndpoint) check(rules WebhookRules) error {
	var faults []errs.Field
	fault := func(pointer, detail string) { faults = append(faults, errs.Field{Pointer: pointer, Detail: detail}) }
	if problem := rules.checkURL(e.URL); problem != "" {
		fault("/url", problem)
	}
	if n := len(e.Events); n < 1 || n > MaxWebhookPatterns {
		fault("/events", "must be 1 to 20 patterns of event types")
	} else if i := slices.IndexFunc(e.Events, func(pattern string) bool { return !slices.ContainsFunc(WebhookEvents(), matching(pattern)) }); i >= 0 {
		fault("/events", "each must be * or the type of an event that is told, or the beginning of one followed by .*")
	}
	if utf8.RuneCountInString(e.Description) > MaxWebhookDescription || strings.ContainsFunc(e.Description, unicode.IsControl) {
		fault("/description", "must be at most 200 characters in one line")
	}
	if e.Status != WebhookEnabled && e.Status != WebhookDisabled {
		fault("/status", "must be enabled or disabled")
	}
	if len(faults) == 0 {
		return nil
	}
	return errs.New(errs.Unprocessable, "invalid-webhook-endpoint", "the endpoint breaks a rule").With(faults...)
}

func matching(pattern string) func(kind string) bool {
	return func(kind string) bool { return WebhookMatches(pattern, kind) }
}

// unique sorts, so that the order in which patterns are given makes no difference.
func unique(patterns []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(patterns)))
}

// webhookMoment is what the database and JSON keep of a time.
func webhookMoment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
