package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/ory/fosite"

	"souk/internal/errs"
	"souk/internal/web"
	"souk/services/users/app"
)

// asking is an authorization request (RFC 6749, section 4.1.1) of a known client with a redirect URI of its own. Any other
// is shown to the user and never redirected: it might be an attack on the user (section 4.1.2.1).
type asking struct {
	query   string // as it was sent; forms carry it on
	values  url.Values
	client  Client
	request fosite.AuthorizeRequester
	scopes  []string // asked for, of those that the client may have
}

// redirectError is a fault that the client is told of by a redirect.
type redirectError struct {
	asking asking
	err    error
}

func (e *redirectError) Error() string { return e.err.Error() }
func (e *redirectError) Unwrap() error { return e.err }

// read checks an authorization request. Its errors are a *redirectError, or for the user.
func (s *Server) read(ctx context.Context, query string) (asking, error) {
	a := asking{query: query}
	if len(query) > maxQuery {
		return a, errTooLarge
	}
	var err error
	if a.values, err = parameters(query); err != nil {
		return a, err
	}
	var ok bool
	if a.client, ok = s.client(a.values.Get("client_id")); !ok || !a.client.may(grantCode) {
		return a, fosite.ErrInvalidClient.WithHint("The application is not known here.")
	}
	uri := a.values.Get("redirect_uri")
	switch {
	case uri == "" && len(a.client.RedirectURIs) == 1:
		uri = a.client.RedirectURIs[0]
	case !a.client.allows(uri):
		return a, fosite.ErrInvalidRequest.WithHint("The 'redirect_uri' is not one of the application's.")
	}
	redirect, err := url.Parse(uri)
	if err != nil {
		return a, fosite.ErrInvalidRequest.WithHint("The 'redirect_uri' can't be read.")
	}
	// From here on the client can be told.
	a.request = &fosite.AuthorizeRequest{RedirectURI: redirect}
	if err := s.check(ctx, &a); err != nil {
		return a, &redirectError{a, err}
	}
	return a, nil
}

func (s *Server) check(ctx context.Context, a *asking) error {
	state, challenge := a.values.Get("state"), a.values.Get("code_challenge")
	switch {
	case len(state) > maxState || !printable(state):
		a.values.Del("state") // it is not repeated
		return fosite.ErrInvalidRequest.WithHint("The 'state' is too long, or has characters that are not allowed.")
	case a.values.Has("request"):
		return fosite.ErrRequestNotSupported
	case a.values.Has("request_uri"):
		return fosite.ErrRequestURINotSupported
	}
	form := maps.Clone(a.values)
	form.Set("state", "is carried by us") // fosite wants one of a certain length; with PKCE none is needed (RFC 9700, section 2.1)
	request, err := s.provider.NewAuthorizeRequest(ctx, &http.Request{Method: http.MethodGet, URL: &url.URL{}, Header: http.Header{}, Form: form, PostForm: url.Values{}})
	if err != nil {
		return err
	}
	// Now rather than when the user has logged in, and only S256: "plain" protects nothing (RFC 9700, section 2.1.1).
	if raw, err := base64.RawURLEncoding.DecodeString(challenge); err != nil || len(raw) != 32 || a.values.Get("code_challenge_method") != "S256" {
		return fosite.ErrInvalidRequest.WithHint("PKCE is required: a 'code_challenge' with the 'code_challenge_method' S256.")
	}
	a.request = request
	a.scopes = common(request.GetRequestedScopes(), a.client.Scopes)
	if len(a.scopes) == 0 {
		a.scopes = a.client.Scopes
	}
	return nil
}

// authorize answers GET /oauth2/authorize: with a page for the user, or a redirect back to the client.
func (s *Server) authorize(c *fiber.Ctx) error {
	ctx := web.Context(c)
	a, err := s.read(ctx, string(c.Request().URI().QueryString()))
	if err != nil {
		return s.failed(c, err)
	}
	prompt := a.values.Get("prompt")
	browser, err := s.browser(c)
	switch {
	case errors.Is(err, app.ErrNoGrant), err == nil && stale(a, browser):
		if prompt == "none" {
			return s.back(c, a, fosite.ErrLoginRequired)
		}
		return s.showLogin(c, a, http.StatusOK, loginPage{})
	case err != nil:
		return err
	}
	user, err := s.opts.Accounts.User(ctx, browser.UserID)
	if noUser(err) {
		return s.showLogin(c, a, http.StatusOK, loginPage{})
	}
	if err != nil {
		return err
	}
	scopes := common(a.scopes, app.ScopesOf(user.Roles))
	if len(scopes) == 0 {
		return s.back(c, a, fosite.ErrInvalidScope.WithHint("The user's roles allow none of the scopes."))
	}
	if a.client.Trusted {
		scopes = a.scopes // roles that the user gets later count too
	} else {
		consented, err := s.opts.Store.Consented(ctx, user.ID, a.client.ID, scopes)
		if err != nil {
			return err
		}
		if !consented {
			if prompt == "none" {
				return s.back(c, a, fosite.ErrConsentRequired)
			}
			return s.showConsent(c, a, user, scopes)
		}
	}
	for _, scope := range scopes {
		a.request.GrantScope(scope)
	}
	response, err := s.provider.NewAuthorizeResponse(ctx, a.request, &grantState{browser: browser})
	s.metrics.count("authorize", err)
	if errors.Is(err, app.ErrNoGrant) { // the login ended this very moment
		return s.showLogin(c, a, http.StatusOK, loginPage{})
	}
	if err != nil {
		return err
	}
	return s.redirect(c, a, url.Values{"code": {response.GetCode()}})
}

// freshly is how long after a login prompt=login and max_age=0 count it as new.
const freshly = 30 * time.Second

// stale tells that the request wants a newer login than the browser has (OpenID Connect Core, section 3.1.2.1; RFC 9470).
func stale(a asking, b app.Browser) bool {
	if a.values.Get("prompt") == "login" {
		return true // taken out of the request by the login
	}
	text := a.values.Get("max_age")
	if text == "" {
		return false
	}
	age, err := strconv.ParseUint(text, 10, 31)
	return err != nil || time.Since(b.AuthTime) > max(time.Duration(age)*time.Second, freshly)
}

// back tells the client of a fault.
func (s *Server) back(c *fiber.Ctx, a asking, err error) error {
	e, _ := explain(err)
	s.metrics.count("authorize", err)
	return s.redirect(c, a, url.Values{"error": {e.ErrorField}, "error_description": {describe(e)}})
}

// redirect sends the user back to the client, with its state and with who answers (RFC 9207).
func (s *Server) redirect(c *fiber.Ctx, a asking, answer url.Values) error {
	if state := a.values.Get("state"); state != "" {
		answer.Set("state", state)
	}
	answer.Set("iss", s.opts.Issuer)
	to := *a.request.GetRedirectURI()
	if to.RawQuery != "" {
		to.RawQuery += "&"
	}
	to.RawQuery += answer.Encode()
	c.Set(fiber.HeaderLocation, to.String())
	c.Status(http.StatusSeeOther) // never 307: it would send the password on (RFC 9700, section 4.12)
	return nil
}

// failed answers an authorization request that read has refused.
func (s *Server) failed(c *fiber.Ctx, err error) error {
	if e := (*redirectError)(nil); errors.As(err, &e) {
		return s.back(c, e.asking, e.err)
	}
	return err
}

// source is the redirect URI as Content-Security-Policy names where a form may lead. A redirect after a form counts as
// the form's in Chromium. The grammar has no IPv6 addresses: the whole scheme has to do for those.
func (a asking) source() string {
	u := a.request.GetRedirectURI()
	if u.Host == "" || strings.ContainsAny(u.Host, "[];, '\"") {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

// isBusy tells errors after which trying again may help.
func isBusy(err error) bool {
	k := errs.KindOf(err)
	return k == errs.Unavailable || k == errs.TooMany || k == errs.Timeout || errors.Is(err, context.DeadlineExceeded)
}
