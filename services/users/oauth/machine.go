package oauth

import (
	"context"
	"time"

	"github.com/ory/fosite"

	"souk/internal/tokens"
)

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
