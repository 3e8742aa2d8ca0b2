// Package oauth is the OAuth 2.0 authorization server: the endpoints that programs call, the pages that people see, the
// keys that tokens are signed with, and the feed of what has been revoked. Parsing, checking of requests, authentication of
// clients and PKCE are ory/fosite's; the grants are ours, since each has to be one step of the database (grants.go).
package oauth

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/pkce"
	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/tokens"
	"souk/services/users/app"
)

// Store keeps what the server hands out. Each method is one transaction; hashes are SHA-256 of secrets that it never sees.
// Failures of the database are errs.Unavailable. A user's version is that of app.User when it was read: if it is another
// one by then, the error is app.ErrUserChanged. What is unknown, expired or revoked is app.ErrNoGrant.
type Store interface {
	// OpenSession adds a session with its first refresh token; nil for none.
	OpenSession(ctx context.Context, session app.Session, version int64, refresh []byte) error

	SaveCode(ctx context.Context, c app.Code) error
	Code(ctx context.Context, hash []byte) (app.Code, error)
	// RedeemCode is OpenSession, once a code. The second time it is app.ErrReused, and revokes the session.
	RedeemCode(ctx context.Context, hash []byte, session app.Session, version int64, refresh []byte) error
	RefuseUsedCode(ctx context.Context, c app.Code) error

	Refresh(ctx context.Context, hash []byte) (app.Refresh, error)
	// Rotate exchanges a refresh token for a successor. A reused one is app.ErrReused, and revokes the session.
	Rotate(ctx context.Context, r app.Refresh, version int64, successor []byte) error
	RefuseReused(ctx context.Context, r app.Refresh) error

	RevokeRefresh(ctx context.Context, hash []byte, client string) error
	RevokeToken(ctx context.Context, tokenID string) error
	Alive(ctx context.Context, t app.Issued) (bool, error)
	RevokedSince(ctx context.Context, cursor string) (tokens.Feed, error)

	OpenBrowser(ctx context.Context, b app.Browser, version int64, before []byte) error
	Browser(ctx context.Context, hash []byte) (app.Browser, error)
	Consented(ctx context.Context, user uuid.UUID, client string, scopes []string) (bool, error)
	Consent(ctx context.Context, b app.Browser, client string, scopes []string) error
}

// Accounts are the use cases of accounts that the server needs: *app.Accounts.
type Accounts interface {
	LogIn(ctx context.Context, email, password string, from netip.Addr) (app.User, error)
	User(ctx context.Context, id uuid.UUID) (app.User, error)
	VerifyEmail(ctx context.Context, token string) error
	ResetPassword(ctx context.Context, token, password string) error
}

// Options of a server. All but Secrets and Metrics are required.
type Options struct {
	Issuer   string // tokens.CheckIssuer has accepted it
	Store    Store
	Accounts Accounts
	Keys     *Keys
	Clients  func() []Client // asked for every request; CheckClients has accepted them
	// Secrets gives the SHA-256 of each secret that a confidential client may use now; more than one while it changes them.
	Secrets func(clientID string) [][]byte
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Server is the authorization server.
type Server struct {
	opts     Options
	origin   string // of the issuer: scheme and host
	secure   bool   // the issuer is https
	provider fosite.OAuth2Provider
	pages    *pages
	news     news
	metrics  *grantMetrics
}

// New makes a server. Follow must run for Revocations to answer soon.
func New(opts Options) (*Server, error) {
	if err := tokens.CheckIssuer(opts.Issuer); err != nil {
		return nil, err
	}
	issuer, err := url.Parse(opts.Issuer)
	if err != nil {
		return nil, err
	}
	if opts.Store == nil || opts.Accounts == nil || opts.Keys == nil || opts.Clients == nil || opts.Log == nil {
		return nil, errors.New("oauth: an option is missing")
	}
	s := &Server{opts: opts, origin: issuer.Scheme + "://" + issuer.Host, secure: issuer.Scheme == "https", metrics: newGrantMetrics(opts.Metrics)}
	s.news.init()
	if s.pages, err = newPages(); err != nil {
		return nil, err
	}
	config := &fosite.Config{
		ScopeStrategy:            fosite.ExactScopeStrategy,
		AudienceMatchingStrategy: fosite.ExactAudienceMatchingStrategy,
		ClientSecretsHasher:      sha256Hasher{},
		EnforcePKCE:              true,
	}
	code := &codeGrant{s}
	config.AuthorizeEndpointHandlers = fosite.AuthorizeEndpointHandlers{code}
	config.TokenEndpointHandlers = fosite.TokenEndpointHandlers{
		code,
		&pkce.Handler{AuthorizeCodeStrategy: noStrategy{}, Storage: challenges{}, Config: config}, // after code
		&refreshGrant{s},
		&clientGrant{s},
	}
	config.RevocationHandlers = fosite.RevocationHandlers{&revoker{s}}
	s.provider = fosite.NewOAuth2Provider(clients{s}, config)
	return s, nil
}

// Routes adds every route of this room. The gateway has all but /internal.
func (s *Server) Routes(r fiber.Router) {
	r.Get("/.well-known/oauth-authorization-server", s.metadata)
	r.Get("/oauth2/jwks", s.jwks)

	r.Post("/oauth2/token", s.token)
	r.Post("/oauth2/revoke", s.revoke)
	r.Post("/oauth2/introspect", s.introspect)

	r.Get("/oauth2/authorize", s.page(s.authorize))
	r.Get("/oauth2/login", s.page(s.loginAgain))
	r.Post("/oauth2/login", s.page(s.login))
	r.Get("/oauth2/consent", s.page(s.loginAgain))
	r.Post("/oauth2/consent", s.page(s.consent))

	r.Get("/account/verify", s.page(s.showVerify))
	r.Post("/account/verify", s.page(s.verify))
	r.Get("/account/reset", s.page(s.showReset))
	r.Post("/account/reset", s.page(s.reset))

	r.Get("/internal/revocations", s.revocations)
}

// noStrategy stands where fosite wants to look into codes. Ours are looked up by their hash.
type noStrategy struct{}

func (noStrategy) AuthorizeCodeSignature(context.Context, string) string { return "" }

func (noStrategy) GenerateAuthorizeCode(context.Context, fosite.Requester) (code, signature string, err error) {
	return "", "", fosite.ErrServerError
}

func (noStrategy) ValidateAuthorizeCode(context.Context, fosite.Requester, string) error {
	return fosite.ErrServerError
}

// common gives the items of have that are in all of the others, in have's order.
func common(have []string, others ...[]string) []string {
	both := []string{}
	for _, h := range have {
		in := true
		for _, other := range others {
			in = in && slices.Contains(other, h) // fosite's Has takes ORDERS for orders
		}
		if in {
			both = append(both, h)
		}
	}
	return both
}

func fieldsOf(scope string) []string { return strings.Fields(scope) }
