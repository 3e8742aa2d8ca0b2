package oauth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/ory/fosite"

	"souk/internal/errs"
	"souk/internal/web"
	"souk/services/users/app"
)

// revoke answers POST /oauth2/revoke (RFC 7009).
func (s *Server) revoke(c *fiber.Ctx) error {
	r, err := s.post(c)
	if err == nil && r.PostForm.Get("token") == "" {
		err = fosite.ErrInvalidRequest.WithHint("The parameter 'token' is missing.")
	}
	if err == nil {
		err = s.provider.NewRevocationRequest(web.Context(c), r)
	}
	s.metrics.count("revoke", err)
	if err != nil {
		return s.refuse(c, err)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Status(http.StatusOK)
	return nil
}

// revoker implements fosite.RevocationHandler.
type revoker struct{ s *Server }

// RevokeToken ends the session of a refresh token, or has one access token refused. What is no token of ours is none any
// more, which is all that the client wants (RFC 7009, section 2.2).
func (r *revoker) RevokeToken(ctx context.Context, token string, _ fosite.TokenType, client fosite.Client) error {
	notYours := fosite.ErrUnauthorizedClient.WithHint("The token is another client's.")
	if strings.HasPrefix(token, refreshPrefix) {
		err := r.s.opts.Store.RevokeRefresh(ctx, hashOf(token), client.GetID())
		if errors.Is(err, app.ErrNoGrant) {
			return notYours
		}
		return err
	}
	c, err := r.s.opts.Keys.verify(r.s.opts.Issuer, token)
	switch {
	case errs.KindOf(err) == errs.Unavailable:
		return err
	case err != nil:
		return nil //nolint:nilerr // see above
	case c.ClientID != client.GetID():
		return notYours
	}
	return r.s.opts.Store.RevokeToken(ctx, c.ID)
}

// introspection is RFC 7662, section 2.2. Of an inactive token nothing else is said.
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	NotBefore int64    `json:"nbf,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
}

// introspect answers POST /oauth2/introspect (RFC 7662) to confidential clients. Any of them may ask about any access
// token: whoever is sent one must be able to check it. About refresh tokens each learns of its own.
func (s *Server) introspect(c *fiber.Ctx) error {
	answer, err := func() (introspection, error) {
		r, err := s.post(c)
		if err != nil {
			return introspection{}, err
		}
		ctx := web.Context(c)
		client, err := s.provider.(*fosite.Fosite).AuthenticateClient(ctx, r, r.PostForm) //nolint:forcetypeassert // New made it
		switch {
		case err != nil:
			return introspection{}, err
		case client.IsPublic():
			return introspection{}, fosite.ErrInvalidClient.WithHint("Only confidential clients may ask.")
		case r.PostForm.Get("token") == "":
			return introspection{}, fosite.ErrInvalidRequest.WithHint("The parameter 'token' is missing.")
		}
		return s.look(ctx, r.PostForm.Get("token"), client.GetID())
	}()
	s.metrics.count("introspect", err)
	if err != nil {
		return s.refuse(c, err)
	}
	return s.answer(c, http.StatusOK, answer)
}

func (s *Server) look(ctx context.Context, token, client string) (introspection, error) {
	if strings.HasPrefix(token, refreshPrefix) {
		r, err := s.opts.Store.Refresh(ctx, hashOf(token))
		switch {
		case errors.Is(err, app.ErrNoGrant), err == nil && (r.Reused || r.Session.ClientID != client):
			return introspection{}, nil
		case err != nil:
			return introspection{}, err
		}
		return introspection{
			Active: true, ClientID: client, Scope: strings.Join(r.Session.Scopes, " "), Subject: r.Session.UserID.String(),
			Issuer: s.opts.Issuer, Expires: r.Session.ExpiresAt.Unix(), TokenType: "refresh_token",
		}, nil
	}
	c, err := s.opts.Keys.verify(s.opts.Issuer, token)
	if errs.KindOf(err) == errs.Unavailable {
		return introspection{}, err
	}
	if err != nil {
		return introspection{}, nil //nolint:nilerr // a bad token is an answer
	}
	issued := app.Issued{TokenID: c.ID, Subject: c.Subject, IssuedAt: c.IssuedAt.Time}
	if c.Session != "" {
		if issued.Session, err = uuid.Parse(c.Session); err != nil {
			return introspection{}, err
		}
	}
	alive, err := s.opts.Store.Alive(ctx, issued)
	if err != nil || !alive {
		return introspection{}, err
	}
	return introspection{
		Active: true, Scope: c.Scope, ClientID: c.ClientID, TokenType: "Bearer", Expires: c.ExpiresAt.Unix(), IssuedAt: c.IssuedAt.Unix(),
		NotBefore: c.NotBefore.Unix(), Subject: c.Subject, Audience: c.Audience, Issuer: c.Issuer, ID: c.ID,
	}, nil
}
