package oauth

import (
	"context"

	"github.com/ory/fosite"

	"souk/services/users/app"
)

// refreshGrant is RFC 6749, section 6, with rotation and detection of reuse (RFC 9700, section 4.14.2).
type refreshGrant struct{ s *Server }

// CanSkipClientAuth implements fosite.TokenEndpointHandler.
func (*refreshGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (*refreshGrant) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(grantRefresh)
}

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler. A token that another client has is that one's trouble,
// not this one's: it is refused, and stays as it is.
func (g *refreshGrant) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	client, err := g.s.clientOf(r, grantRefresh)
	if err != nil {
		return err
	}
	state, err := stateOf(r)
	if err != nil {
		return err
	}
	token := r.GetRequestForm().Get("refresh_token")
	if token == "" {
		return fosite.ErrInvalidRequest.WithHint("The parameter 'refresh_token' is missing.")
	}
	refresh, err := g.s.opts.Store.Refresh(ctx, hashOf(token))
	if err != nil {
		return err
	}
	if refresh.Session.ClientID != client.ID {
		return app.ErrNoGrant
	}
	if asked := r.GetRequestedScopes(); len(asked) > 0 {
		if len(common(asked, refresh.Session.Scopes)) != len(asked) {
			return fosite.ErrInvalidScope.WithHint("One of the scopes was not granted.")
		}
		state.asked = asked
	}
	state.refresh = refresh
	return nil
}

// PopulateTokenEndpointResponse implements fosite.TokenEndpointHandler.
func (g *refreshGrant) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, response fosite.AccessResponder) error {
	if !g.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	client, err := g.s.clientOf(r, grantRefresh)
	if err != nil {
		return err
	}
	state, err := stateOf(r)
	if err != nil {
		return err
	}
	if state.refresh.Reused {
		return g.s.opts.Store.RefuseReused(ctx, state.refresh)
	}
	t, err := g.s.issue(ctx, state.refresh.Session, client, state.asked, func(version int64, successor []byte) error {
		return g.s.opts.Store.Rotate(ctx, state.refresh, version, successor)
	})
	if err != nil {
		return err
	}
	respond(response, t)
	return nil
}
