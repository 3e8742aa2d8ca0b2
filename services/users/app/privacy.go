package app

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Export is all that this service knows of a user, except secrets (GDPR, articles 15 and 20).
type Export struct {
	ExportedAt     time.Time      `json:"exported_at"`
	User           User           `json:"user"`
	Sessions       []Session      `json:"sessions"`
	KnownAddresses []KnownAddress `json:"known_addresses"`
	Consents       []Consent      `json:"consents"`
	Mails          []SentMail     `json:"mails"`
}

// KnownAddress is where the user has logged in from in the last 30 days.
type KnownAddress struct {
	Address   string    `json:"address"` // IPv4, or the first half of an IPv6: "2001:db8::/64"
	LastLogin time.Time `json:"last_login"`
}

// Consent is what the user has allowed a client to do.
type Consent struct {
	ClientID  string    `json:"client_id"`
	Scopes    []string  `json:"scopes"`
	GrantedAt time.Time `json:"granted_at"`
}

// SentMail is one that was asked for lately.
type SentMail struct {
	Kind        MailKind  `json:"kind"`
	RequestedAt time.Time `json:"requested_at"`
}

// Erase deletes all that is known of a user; only the id stays, with when it was made and erased. Sessions end, access
// tokens are refused, and others are told by the event. Errors: ErrUserNotFound, ErrGone, ErrLastAdmin.
func (a *Accounts) Erase(ctx context.Context, id uuid.UUID) error { return a.store.Erase(ctx, id) }

// Export gathers a user's data. Errors: ErrUserNotFound, ErrGone.
func (a *Accounts) Export(ctx context.Context, id uuid.UUID) (Export, error) {
	e, err := a.store.Export(ctx, id)
	e.ExportedAt = moment(a.now())
	return e, err
}
