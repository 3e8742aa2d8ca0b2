package app

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// Errors about endpoints.
var (
	ErrNoWebhookEndpoint    = errs.New(errs.NotFound, "webhook-endpoint-not-found", "there is no webhook endpoint with this id")
	ErrManyWebhookEndpoints = errs.New(errs.Conflict, "too-many-webhook-endpoints", "there are %d webhook endpoints, which is the most there may be; delete one", MaxWebhookEndpoints)
	ErrManyWebhookSecrets   = errs.New(errs.Conflict, "too-many-webhook-secrets", "%d secrets of the endpoint are good; wait until the oldest expires, or end the old ones at once with an overlap of 0", MaxWebhookSecrets)
	ErrStaleWebhookEndpoint = errs.New(errs.PreconditionFailed, "stale-version", "it has changed since you read it; read it again")
)

// WebhookStore keeps endpoints. Each method is one transaction. Failures of the database are errs.Unavailable.
type WebhookStore interface {
	// InsertWebhookEndpoint adds an endpoint with its first secret, sealed; or ErrManyWebhookEndpoints.
	InsertWebhookEndpoint(ctx context.Context, e WebhookEndpoint, sealed string) error
	// WebhookEndpoint by id, or ErrNoWebhookEndpoint.
	WebhookEndpoint(ctx context.Context, id uuid.UUID) (WebhookEndpoint, error)
	// WebhookEndpoints are all, newest first.
	WebhookEndpoints(ctx context.Context) ([]WebhookEndpoint, error)
	// ChangeWebhookEndpoint stores what change makes of an endpoint that nobody else changes meanwhile, unless it returns
	// an error. It may be called again, with the endpoint as it is then.
	ChangeWebhookEndpoint(ctx context.Context, id uuid.UUID, change func(*WebhookEndpoint) error) (WebhookEndpoint, error)
	// DeleteWebhookEndpoint deletes it with all that belongs to it, unless allow returns an error.
	DeleteWebhookEndpoint(ctx context.Context, id uuid.UUID, allow func(WebhookEndpoint) error) error
	// AddWebhookSecret makes a secret the newest. Those before stay good for overlap at most; or ErrManyWebhookSecrets.
	AddWebhookSecret(ctx context.Context, id uuid.UUID, sealed string, overlap time.Duration, now time.Time) (WebhookEndpoint, error)
	// WebhookDeliveries of an endpoint, newest first: at most limit of those older than before, or of all if that is
	// uuid.Nil. The status "" means every one.
	WebhookDeliveries(ctx context.Context, endpoint uuid.UUID, status WebhookDeliveryStatus, before uuid.UUID, limit int) ([]WebhookDelivery, error)
	// Redeliver makes a delivery due now, whatever became of it; one that is being sent at the moment is left alone.
	Redeliver(ctx context.Context, endpoint, delivery uuid.UUID) (WebhookDelivery, error)
}

// Sealer encrypts secrets, each for its endpoint alone.
type Sealer interface {
	Seal(ctx context.Context, endpoint uuid.UUID, secret string) (sealed string, err error)
}

// Webhooks has the use cases of outgoing webhooks. It is safe for concurrent use.
type Webhooks struct {
	store   WebhookStore
	sealer  Sealer
	rules   func() WebhookRules
	changed func(context.Context)
	now     func() time.Time
}

// NewWebhooks makes the use cases. rules are asked for on each use; changed is told that somebody wants other events
// than before, and may be nil.
func NewWebhooks(store WebhookStore, sealer Sealer, rules func() WebhookRules, changed func(context.Context)) *Webhooks {
	if changed == nil {
		changed = func(context.Context) {}
	}
	return &Webhooks{store: store, sealer: sealer, rules: rules, changed: changed, now: time.Now}
}

// Create adds an endpoint. The secret is told this once.
func (w *Webhooks) Create(ctx context.Context, url string, events []string, description string) (e WebhookEndpoint, secret string, err error) {
	if e, err = NewWebhookEndpoint(url, events, description, w.rules(), w.now()); err != nil {
		return e, "", err
	}
	secret, sealed, err := w.newSecret(ctx, e.ID)
	if err != nil {
		return e, "", err
	}
	if err := w.store.InsertWebhookEndpoint(ctx, e, sealed); err != nil {
		return e, "", err
	}
	w.changed(ctx)
	return e, secret, nil
}

// newSecret makes 256 random bits in the form that Standard Webhooks gives secrets.
func (w *Webhooks) newSecret(ctx context.Context, endpoint uuid.UUID) (secret, sealed string, err error) {
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return "", "", err
	}
	secret = "whsec_" + base64.StdEncoding.EncodeToString(key[:])
	sealed, err = w.sealer.Seal(ctx, endpoint, secret)
	return secret, sealed, err
}

// Endpoint by id.
func (w *Webhooks) Endpoint(ctx context.Context, id uuid.UUID) (WebhookEndpoint, error) {
	return w.store.WebhookEndpoint(ctx, id)
}

// Endpoints are all, newest first.
func (w *Webhooks) Endpoints(ctx context.Context) ([]WebhookEndpoint, error) {
	return w.store.WebhookEndpoints(ctx)
}

// Change changes an endpoint, if allows its version; else the error is ErrStaleWebhookEndpoint.
func (w *Webhooks) Change(ctx context.Context, id uuid.UUID, allows func(version int64) bool, p WebhookPatch) (WebhookEndpoint, error) {
	e, err := w.store.ChangeWebhookEndpoint(ctx, id, func(e *WebhookEndpoint) error {
		if !allows(e.Version) {
			return ErrStaleWebhookEndpoint
		}
		return e.Change(p, w.rules(), w.now())
	})
	if err == nil {
		w.changed(ctx)
	}
	return e, err
}

// Delete deletes an endpoint with its deliveries, if allows its version. What is being sent at the moment may still
// arrive.
func (w *Webhooks) Delete(ctx context.Context, id uuid.UUID, allows func(version int64) bool) error {
	err := w.store.DeleteWebhookEndpoint(ctx, id, func(e WebhookEndpoint) error {
		if !allows(e.Version) {
			return ErrStaleWebhookEndpoint
		}
		return nil
	})
	if err == nil {
		w.changed(ctx)
	}
	return err
}

// RotateSecret makes a new secret, told this once. The one before signs beside it for overlap, so that the receiver can
// change over without losing anything; an overlap of 0 ends all others at once.
func (w *Webhooks) RotateSecret(ctx context.Context, id uuid.UUID, overlap time.Duration) (e WebhookEndpoint, secret string, err error) {
	if overlap < 0 || overlap > MaxSecretOverlap {
		return e, "", errs.New(errs.Unprocessable, "invalid-overlap", "the overlap breaks a rule").
			With(errs.Field{Pointer: "/overlap_seconds", Detail: "must be 0 to 604800"})
	}
	if _, err := w.store.WebhookEndpoint(ctx, id); err != nil {
		return e, "", err // nothing is sealed for nobody
	}
	secret, sealed, err := w.newSecret(ctx, id)
	if err != nil {
		return e, "", err
	}
	if e, err = w.store.AddWebhookSecret(ctx, id, sealed, overlap, w.now()); err != nil {
		return e, "", err
	}
	return e, secret, nil
}

// WebhookDeliveryPage is a page of deliveries.
type WebhookDeliveryPage struct {
	Items []WebhookDelivery
	More  bool // there are older ones
}

// Deliveries gives an endpoint's deliveries that are older than before, or the newest if that is uuid.Nil.
func (w *Webhooks) Deliveries(ctx context.Context, endpoint uuid.UUID, status WebhookDeliveryStatus, before uuid.UUID, limit int) (WebhookDeliveryPage, error) {
	items, err := w.store.WebhookDeliveries(ctx, endpoint, status, before, limit+1) // one more tells whether there is a next page
	if err != nil || len(items) <= limit {
		return WebhookDeliveryPage{Items: items}, err
	}
	return WebhookDeliveryPage{Items: items[:limit], More: true}, nil
}

// Redeliver sends a delivery once more, under its old id.
func (w *Webhooks) Redeliver(ctx context.Context, endpoint, delivery uuid.UUID) (WebhookDelivery, error) {
	return w.store.Redeliver(ctx, endpoint, delivery)
}
