package oauth

import (
	"maps"
	"time"

	"github.com/ory/fosite"

	"souk/services/users/app"
)

// fosite's own handlers of the code and refresh grants look first and write later, in two steps between which another
// request may come; and they know no grace for a lost answer. These look, sign, and then do everything in one transaction
// that looks again.

// grantState is what a grant has found out, between its two halves; fosite calls it the session.
type grantState struct {
	expires map[fosite.TokenType]time.Time
	browser app.Browser // of the authorization endpoint
	code    app.Code
	refresh app.Refresh
	asked   []string // scopes of a refresh, nil for all
}

// SetExpiresAt implements fosite.Session.
func (g *grantState) SetExpiresAt(key fosite.TokenType, at time.Time) {
	if g.expires == nil {
		g.expires = map[fosite.TokenType]time.Time{}
	}
	g.expires[key] = at
}

// GetExpiresAt implements fosite.Session.
func (g *grantState) GetExpiresAt(key fosite.TokenType) time.Time { return g.expires[key] }

// GetUsername implements fosite.Session.
func (g *grantState) GetUsername() string { return "" }

// GetSubject implements fosite.Session.
func (g *grantState) GetSubject() string { return "" }

// Clone implements fosite.Session.
func (g *grantState) Clone() fosite.Session {
	c := *g
	c.expires = maps.Clone(g.expires)
	return &c
}

func stateOf(r fosite.Requester) (*grantState, error) {
	g, ok := r.GetSession().(*grantState)
	if !ok {
		return nil, fosite.ErrServerError
	}
	return g, nil
}

// clientOf is the client of a request, which fosite has authenticated, as the configuration has it now.
func (s *Server) clientOf(r fosite.Requester, grant string) (Client, error) {
	client, ok := s.client(r.GetClient().GetID())
	if !ok {
		return Client{}, fosite.ErrInvalidClient
	}
	if !client.may(grant) {
		return Client{}, fosite.ErrUnauthorizedClient.WithHintf("The client may not use the grant type '%s'.", grant)
	}
	return client, nil
}

func respond(response fosite.AccessResponder, t Tokens) {
	response.SetAccessToken(t.AccessToken)
	response.SetTokenType(t.TokenType)
	response.SetExpiresIn(time.Duration(t.ExpiresIn) * time.Second)
	response.SetScopes(fieldsOf(t.Scope))
	if t.RefreshToken != "" {
		response.SetExtra("refresh_token", t.RefreshToken)
	}
}
