package oauth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/ory/fosite"

	"souk/internal/errs"
	"souk/internal/tokens"
	"souk/internal/web"
	"souk/services/users/app"
)

// Tokens are what a login gives, in the shape of RFC 6749, section 5.1.
type Tokens struct {
	AccessToken  string    `json:"access_token"`
	TokenType    string    `json:"token_type"`
	ExpiresIn    int       `json:"expires_in"` // seconds
	RefreshToken string    `json:"refresh_token,omitempty"`
	Scope        string    `json:"scope"` // separated by spaces
	SessionID    uuid.UUID `json:"session_id"`
}

// Device is from where a user logs in, as the list of sessions shows it.
type Device struct{ UserAgent, Address string }

// token answers POST /oauth2/token (RFC 6749, section 3.2).
func (s *Server) token(c *fiber.Ctx) error {
	grant := ""
	answer, err := func() (map[string]any, error) {
		r, err := s.post(c)
		if err != nil {
			return nil, err
		}
		switch g := r.PostForm.Get("grant_type"); g {
		case grantCode, grantRefresh, grantClient:
			grant = g
		case "":
			return nil, fosite.ErrInvalidRequest.WithHint("The parameter 'grant_type' is missing.")
		default:
			return nil, fosite.ErrUnsupportedGrantType
		}
		ctx := context.WithValue(web.Context(c), deviceKey{}, deviceOf(c))
		request, err := s.provider.NewAccessRequest(ctx, r, &grantState{})
		if err != nil {
			return nil, err
		}
		response, err := s.provider.NewAccessResponse(ctx, request)
		if err != nil {
			return nil, err
		}
		return response.ToMap(), nil
	}()
	s.metrics.count(grant, err)
	if err != nil {
		return s.refuse(c, err)
	}
	return s.answer(c, http.StatusOK, answer)
}

type deviceKey struct{}

const maxUserAgent = 256 // bytes kept of it

func deviceOf(c *fiber.Ctx) Device {
	d := Device{UserAgent: trimmed(c.Get(fiber.HeaderUserAgent), maxUserAgent)}
	if ip := web.ClientIP(c); ip.IsValid() {
		d.Address = ip.String()
	}
	return d
}

// newSession is a session of a client that begins now. What has no refresh token lasts as long as its access token.
func newSession(user uuid.UUID, client Client, scopes []string, authTime time.Time, device Device) (app.Session, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return app.Session{}, err
	}
	now := time.Now()
	session := app.Session{
		ID: id, UserID: user, ClientID: client.ID, Scopes: scopes, CreatedAt: now, AuthTime: authTime,
		UserAgent: trimmed(device.UserAgent, maxUserAgent), Address: trimmed(device.Address, 64),
	}
	session.Extend(now)
	if !client.may(grantRefresh) {
		session.ExpiresAt = now.Add(tokens.Life)
	}
	return session, nil
}

// LogIn opens a session of the first-party client for a user who has just given the password.
func (s *Server) LogIn(ctx context.Context, user app.User, device Device) (Tokens, error) {
	client, ok := s.client(FirstParty)
	if !ok {
		return Tokens{}, errs.New(errs.Internal, "no-first-party-client", "").Because(errors.New("the configuration has no client " + FirstParty))
	}
	session, err := newSession(user.ID, client, client.Scopes, time.Now(), device)
	if err != nil {
		return Tokens{}, err
	}
	t, err := s.issueTo(ctx, user, session, client, nil, func(refresh []byte) error {
		return s.opts.Store.OpenSession(ctx, session, user.Version, refresh)
	})
	s.metrics.count("login", err)
	if errors.Is(err, fosite.ErrInvalidScope) {
		err = errs.New(errs.Forbidden, "no-scope", "none of your roles lets you use this client")
	}
	return t, err
}

// issue is issueTo for the user as it is now. A user who changes at the same moment is read again.
func (s *Server) issue(ctx context.Context, session app.Session, client Client, asked []string, commit func(version int64, refresh []byte) error) (t Tokens, err error) {
	for range 3 {
		user, err := s.opts.Accounts.User(ctx, session.UserID)
		if err != nil {
			return t, err
		}
		t, err = s.issueTo(ctx, user, session, client, asked, func(refresh []byte) error { return commit(user.Version, refresh) })
		if !errors.Is(err, app.ErrUserChanged) {
			return t, err
		}
	}
	return t, app.ErrUserChanged
}

// issueTo signs an access token for what the session was granted, the client may have and the user's roles allow, of which
// asked (nil: everything) is a part. Only then it commits what stands behind it: while Vault is away nothing is used up, and
// what commit refuses leaves no token. commit gets the hash of a refresh token, nil if the client has none.
func (s *Server) issueTo(ctx context.Context, user app.User, session app.Session, client Client, asked []string, commit func(refresh []byte) error) (Tokens, error) {
	if err := waitUntil(ctx, user.TokensValidFrom); err != nil {
		return Tokens{}, err
	}
	scopes := common(session.Scopes, client.Scopes, app.ScopesOf(user.Roles))
	if asked != nil {
		scopes = common(scopes, asked)
	}
	if len(scopes) == 0 {
		return Tokens{}, fosite.ErrInvalidScope.WithHint("The user's roles allow none of the scopes.")
	}
	c, err := newClaims(s.opts.Issuer, user.ID.String(), client.ID, scopes, time.Now())
	if err != nil {
		return Tokens{}, err
	}
	c.Session, c.Roles, c.AuthTime = session.ID.String(), slices.Clone(user.Roles), jwt.NewNumericDate(session.AuthTime)
	access, err := s.opts.Keys.Sign(ctx, c)
	if err != nil {
		return Tokens{}, err
	}
	t := Tokens{AccessToken: access, TokenType: "Bearer", ExpiresIn: int(tokens.Life / time.Second), Scope: c.Scope, SessionID: session.ID}
	var hash []byte
	if client.may(grantRefresh) {
		t.RefreshToken, hash = newSecret(refreshPrefix)
	}
	if err := commit(hash); err != nil {
		return Tokens{}, err
	}
	return t, nil
}

// waitUntil waits for a moment within the next second: tokens that were issued before it are refused.
func waitUntil(ctx context.Context, moment time.Time) error {
	wait := time.Until(moment)
	if wait <= 0 {
		return nil
	}
	if wait > 2*time.Second { // another clock than ours
		return app.ErrUserChanged
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
