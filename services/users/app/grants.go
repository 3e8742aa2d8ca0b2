package app

import (
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// Errors of grants. The OAuth endpoints answer each in the form of RFC 6749.
var (
	// ErrNoGrant is for a code, a refresh token or a login that is unknown, expired or revoked.
	ErrNoGrant = errs.New(errs.Unauthenticated, "no-grant", "it is not valid, or not any more")
	// ErrReused is for a code or refresh token that was used before. What the first use gave has been revoked.
	ErrReused = errs.New(errs.Unauthenticated, "grant-reused", "it was used before; what it gave has been revoked")
	// ErrUserChanged says that the user is not as it was when it was read: read it again.
	ErrUserChanged = errs.New(errs.Unavailable, "user-changed", "the account changed at the same moment; try again").After(time.Second)
)

// Browser is a login in the user's browser, known by a cookie.
type Browser struct {
	Hash      []byte // SHA-256 of the cookie's value
	UserID    uuid.UUID
	AuthTime  time.Time
	ExpiresAt time.Time
}

// Code is an authorization code (RFC 6749, section 4.1) with what it was given for.
type Code struct {
	Hash        []byte // SHA-256 of the code
	ClientID    string
	UserID      uuid.UUID
	RedirectURI string   // as the request had it, "" if it had none
	Scopes      []string // granted
	Challenge   string   // PKCE, S256 (RFC 7636)
	Browser     []byte   // hash of the browser session
	AuthTime    time.Time
	ExpiresAt   time.Time
	Used        bool
}

// Refresh is a refresh token with its session.
type Refresh struct {
	Session Session
	Hash    []byte
	Reused  bool // it was used before, and not just now: exchanging it revokes the session
}

// Issued is what introspection asks about an access token whose signature is good.
type Issued struct {
	TokenID  string
	Subject  string
	Session  uuid.UUID // Nil for a service token
	IssuedAt time.Time
}
