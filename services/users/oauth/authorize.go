package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/ory/fosite"

	"souk/internal/errs"
	"souk/internal/web"
	"souk/services/users/app"
)

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

// isBusy tells errors after which trying again may help.
func isBusy(err error) bool {
	k := errs.KindOf(err)
	return k == errs.Unavailable || k == errs.TooMany || k == errs.Timeout || errors.Is(err, context.DeadlineExceeded)
}
