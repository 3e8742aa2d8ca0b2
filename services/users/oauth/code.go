package oauth

import (
	"context"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"souk/services/users/app"
)

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
