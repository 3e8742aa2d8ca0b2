package tokens

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Principal is who a verified access token speaks for. It is shared by all requests with
// that token: nobody changes it.
type Principal struct {
	Subject string    // the user's or, of a service token, the client's id
	User    uuid.UUID // Nil: a service token (client credentials)
	Client  string    // client_id: through which program

	Session uuid.UUID // Nil for a service token
	TokenID string    // jti

	Scopes []string // what it allows: see Has
	Roles  []string // information; enforcement looks at scopes only

	AuthTime time.Time // when the user gave the password; zero for a service token
	IssuedAt time.Time
	Expires  time.Time

	key, session string // made once, for the path of a token that is known
}

// Has tells whether the token has the scope.
func (p *Principal) Has(scope string) bool { return slices.Contains(p.Scopes, scope) }

// HasAny tells whether the token has one of the scopes; of none named it is true.
func (p *Principal) HasAny(scopes ...string) bool {
	return len(scopes) == 0 || slices.ContainsFunc(scopes, p.Has)
}

// Key names the principal among all others: "user/<id>" or "client/<id>". It is what
// idempotency keys and limits belong to.
func (p *Principal) Key() string {
	switch {
	case p.key != "":
		return p.key
	case p.User != uuid.Nil:
		return "user/" + p.User.String()
	}
	return "client/" + p.Client
}
