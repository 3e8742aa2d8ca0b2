// Package stripe moves money through Stripe: a PaymentIntent for each authorisation, captured by hand.
//
// What Stripe remembers of an idempotency key it forgets after a day, and it answers a repetition with the first answer
// even if that was a fault of its own. So the key protects what is repeated within minutes; what is older is first looked
// for by the operation's id in the metadata of PaymentIntents and refunds.
package stripe

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	stripego "github.com/stripe/stripe-go/v83"

	"souk/services/payments/app"
)

// Name of the provider: in an intent, in the path of its webhooks, and in the accounts of the ledger.
const Name = "stripe"

// Metadata that tell of a PaymentIntent or refund whose it is.
const (
	metaIntent    = "intent_id"
	metaOrder     = "order_id"
	metaRefund    = "refund_id"
	metaOperation = "operation_id"
	metaTombstone = "tombstone" // it was made to be cancelled: see Void
)

// Options of a Provider. The functions are asked on each use; the secrets come from Vault.
type Options struct {
	APIKey         func() string   // "" while there is none
	WebhookSecrets func() []string // that a notice may be signed with: two while Stripe rolls one
	URL            string          // of the API; Stripe's if empty
	Timeout        time.Duration   // of one call; 20 s if zero
}

// Provider is app.Provider.
type Provider struct {
	opts    Options
	backend stripego.Backend

	mu     sync.Mutex
	key    string
	client *stripego.Client // with key
}

// New makes a provider. It connects when it is used.
func New(opts Options) *Provider {
	if opts.Timeout == 0 {
		opts.Timeout = 20 * time.Second
	}
	config := &stripego.BackendConfig{
		HTTPClient:        &http.Client{Timeout: opts.Timeout},
		LeveledLogger:     &stripego.LeveledLogger{Level: stripego.LevelNull}, // it would log whole answers
		MaxNetworkRetries: stripego.Int64(0),                                  // whoever calls repeats, with patience of his own
		EnableTelemetry:   stripego.Bool(false),
	}
	if opts.URL != "" {
		config.URL = stripego.String(opts.URL)
	}
	return &Provider{opts: opts, backend: stripego.GetBackendWithConfig(stripego.APIBackend, config)}
}

// Name implements app.Provider.
func (p *Provider) Name() string { return Name }

// errNoKey is no refusal: the operation waits until somebody has put the key into Vault.
var errNoKey = errors.New("stripe: there is no API key in Vault")

// api is Stripe with the key of now.
func (p *Provider) api() (*stripego.Client, error) {
	key := p.opts.APIKey()
	if key == "" {
		return nil, errNoKey
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client == nil || p.key != key {
		p.key, p.client = key, stripego.NewClient(key, stripego.WithBackends(&stripego.Backends{API: p.backend}))
	}
	return p.client, nil
}

// keyLife is how long an idempotency key is trusted: Stripe keeps it for 24 hours.
const keyLife = 22 * time.Hour

// old tells of an operation whose idempotency key may be forgotten: ids of intents are UUIDv7, which tell their time.
func old(r app.Request) bool {
	if r.IntentID.Version() != 7 {
		return true
	}
	return time.Since(time.Unix(r.IntentID.Time().UnixTime())) > keyLife
}

// metadata of what is made for r.
func metadata(r app.Request) map[string]string {
	m := map[string]string{metaIntent: r.IntentID.String(), metaOperation: r.OperationID}
	if r.OrderID != uuid.Nil {
		m[metaOrder] = r.OrderID.String()
	}
	if r.RefundID != uuid.Nil {
		m[metaRefund] = r.RefundID.String()
	}
	return m
}

// intent finds the PaymentIntent of r's payment, by its reference or by who authorised it; nil if Stripe knows none. A
// search finds what is a minute old, and usually what is younger.
func intent(ctx context.Context, api *stripego.Client, r app.Request) (*stripego.PaymentIntent, error) {
	if r.Reference != "" {
		found, err := api.V1PaymentIntents.Retrieve(ctx, r.Reference, nil)
		if err != nil {
			return nil, unknown(err)
		}
		return found, nil
	}
	operation := r.AuthoriseID
	if operation == "" {
		operation = r.OperationID
	}
	query := &stripego.PaymentIntentSearchParams{}
	query.Query = "metadata['" + metaOperation + "']:" + quoted(operation)
	query.Limit = stripego.Int64(1)
	for found, err := range api.V1PaymentIntents.Search(ctx, query) {
		if err != nil {
			return nil, unknown(err)
		}
		if found.Metadata[metaOperation] == operation {
			return found, nil
		}
		break
	}
	return nil, nil
}
