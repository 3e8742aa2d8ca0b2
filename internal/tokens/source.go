package tokens

import (
	"context"
	"time"
)

// Source is where keys and revocations come from: the users service.
type Source interface {
	// JWKS returns a JSON Web Key Set (RFC 7517).
	JWKS(ctx context.Context) (raw []byte, err error)
	// Revocations returns what was revoked after the cursor, as soon as there is something,
	// or nothing with a new cursor after at most 20 s. After "" it returns at once everything
	// that has not expired. An entry may come more than once.
	Revocations(ctx context.Context, after string) (Feed, error)
}

// Feed is one answer of GET /internal/revocations.
type Feed struct {
	Cursor      string       `json:"cursor"` // for the next question; opaque
	Revocations []Revocation `json:"revocations"`
}

// What a Revocation may be about.
const (
	KindSession = "session" // every token with this sid
	KindSubject = "subject" // tokens with this sub that were issued before a time
	KindToken   = "token"   // the token with this jti
)

// Revocation refuses access tokens before they expire. A session or a token that was
// revoked never comes back, so Before counts for subjects only.
type Revocation struct {
	Kind    string    `json:"kind"`
	ID      string    `json:"id"`
	Before  time.Time `json:"before"`  // tokens with an iat before it are refused; zero: all
	Expires time.Time `json:"expires"` // when the last token that it is about has expired
}
