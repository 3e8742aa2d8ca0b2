package oauth

import (
	"context"
	"maps"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"souk/internal/tokens"
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

// codeGrant is RFC 6749, section 4.1.
type codeGrant struct{ s *Server }

// HandleAuthorizeEndpointRequest implements fosite.AuthorizeEndpointHandler: it makes the code.
func (g *codeGrant) HandleAuthorizeEndpointRequest(ctx context.Context, r fosite.AuthorizeRequester, response fosite.AuthorizeResponder) error {
	state, err := stateOf(r)
	if err != nil {
		return err
	}
	code, hash := newSecret(codePrefix)
	err = g.s.opts.Store.SaveCode(ctx, app.Code{
		Hash: hash, ClientID: r.GetClient().GetID(), UserID: state.browser.UserID, RedirectURI: r.GetRequestForm().Get("redirect_uri"),
		Scopes: r.GetGrantedScopes(), Challenge: r.GetRequestForm().Get("code_challenge"),
		Browser: state.browser.Hash, AuthTime: state.browser.AuthTime, ExpiresAt: time.Now().Add(app.CodeLife),
	})
	if err != nil {
		return err
	}
	response.AddParameter("code", code)
	r.SetResponseTypeHandled("code")
	return nil
}

// CanSkipClientAuth implements fosite.TokenEndpointHandler.
func (*codeGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (*codeGrant) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(grantCode)
}

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler: it checks the code. PKCE's handler is next: who has
// nothing but the code can't even use it up.
func (g *codeGrant) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	client, err := g.s.clientOf(r, grantCode)
	if err != nil {
		return err
	}
	state, err := stateOf(r)
	if err != nil {
		return err
	}
	form := r.GetRequestForm()
	if form.Get("code") == "" {
		return fosite.ErrInvalidRequest.WithHint("The parameter 'code' is missing.")
	}
	code, err := g.s.opts.Store.Code(ctx, hashOf(form.Get("code")))
	switch {
	case err != nil:
		return err
	case code.ClientID != client.ID:
		return app.ErrNoGrant
	case code.RedirectURI != "" && code.RedirectURI != form.Get("redirect_uri"):
		return fosite.ErrInvalidGrant.WithHint("The 'redirect_uri' is not the one of the authorization request.")
	}
	state.code = code
	return nil
}

// PopulateTokenEndpointResponse implements fosite.TokenEndpointHandler.
func (g *codeGrant) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, response fosite.AccessResponder) error {
	if !g.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	client, err := g.s.clientOf(r, grantCode)
	if err != nil {
		return err
	}
	state, err := stateOf(r)
	if err != nil {
		return err
	}
	code := state.code
	if code.Used {
		return g.s.opts.Store.RefuseUsedCode(ctx, code)
	}
	device, _ := ctx.Value(deviceKey{}).(Device)
	session, err := newSession(code.UserID, client, code.Scopes, code.AuthTime, device)
	if err != nil {
		return err
	}
	session.Browser = code.Browser
	t, err := g.s.issue(ctx, session, client, nil, func(version int64, refresh []byte) error {
		return g.s.opts.Store.RedeemCode(ctx, code.Hash, session, version, refresh)
	})
	if err != nil {
		return err
	}
	respond(response, t)
	return nil
}

// challenges gives PKCE's handler the challenge of the code that codeGrant has found.
type challenges struct{}

// GetPKCERequestSession implements pkce.PKCERequestStorage.
func (challenges) GetPKCERequestSession(_ context.Context, _ string, session fosite.Session) (fosite.Requester, error) {
	state, ok := session.(*grantState)
	if !ok || state.code.Challenge == "" {
		return nil, fosite.ErrNotFound
	}
	r := fosite.NewRequest()
	r.Form = url.Values{"code_challenge": {state.code.Challenge}, "code_challenge_method": {"S256"}}
	return r, nil
}

// CreatePKCERequestSession implements pkce.PKCERequestStorage: the challenge is kept with the code.
func (challenges) CreatePKCERequestSession(context.Context, string, fosite.Requester) error {
	return nil
}

// DeletePKCERequestSession implements pkce.PKCERequestStorage likewise.
func (challenges) DeletePKCERequestSession(context.Context, string) error { return nil }

// clientGrant is RFC 6749, section 4.4.
type clientGrant struct{ s *Server }

// CanSkipClientAuth implements fosite.TokenEndpointHandler.
func (*clientGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (*clientGrant) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(grantClient)
}

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (g *clientGrant) HandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) error {
	client, err := g.s.clientOf(r, grantClient)
	if err != nil {
		return err
	}
	if client.Public {
		return fosite.ErrUnauthorizedClient.WithHint("A public client has no secret to prove who it is.")
	}
	asked := r.GetRequestedScopes()
	if len(common(asked, client.Scopes)) != len(asked) {
		return fosite.ErrInvalidScope.WithHint("The client may not have one of the scopes.")
	}
	if audience := r.GetRequestedAudience(); len(common(audience, []string{tokens.Audience})) != len(audience) {
		return fosite.ErrInvalidRequest.WithHint("There is no such audience.")
	}
	return nil
}

// PopulateTokenEndpointResponse implements fosite.TokenEndpointHandler.
func (g *clientGrant) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, response fosite.AccessResponder) error {
	if !g.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	client, err := g.s.clientOf(r, grantClient)
	if err != nil {
		return err
	}
	scopes := client.Scopes
	if asked := r.GetRequestedScopes(); len(asked) > 0 {
		scopes = common(client.Scopes, asked)
	}
	c, err := newClaims(g.s.opts.Issuer, client.ID, client.ID, scopes, time.Now())
	if err != nil {
		return err
	}
	token, err := g.s.opts.Keys.Sign(ctx, c)
	if err != nil {
		return err
	}
	respond(response, Tokens{AccessToken: token, TokenType: "Bearer", ExpiresIn: int(tokens.Life / time.Second), Scope: c.Scope})
	return nil
}
