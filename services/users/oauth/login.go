package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/ory/fosite"

	"souk/internal/errs"
	"souk/internal/web"
	"souk/services/users/app"
)

// loginPage is what the login form shows beside the client.
type loginPage struct {
	Email string
	Error string // above the form
}

func (s *Server) showLogin(c *fiber.Ctx, a asking, status int, p loginPage) error {
	return s.show(c, status, "login", view{Title: "Log in", FormAction: a.source(), Data: map[string]any{
		"Client": a.client.Name, "Trusted": a.client.Trusted, "Request": a.query, "Email": p.Email, "Error": p.Error,
	}})
}

// loginAgain answers GET on the address that a form was sent to, which a browser asks for when its user goes there again.
func (s *Server) loginAgain(c *fiber.Ctx) error {
	query := string(c.Request().URI().QueryString())
	if query == "" {
		return &pageError{status: http.StatusNotFound, title: "Nothing to log in to", detail: "Go back to the application and start from there."}
	}
	return authorizeAgain(c, query)
}

// authorizeAgain goes on with an authorization request. Nothing but this path is ever gone to after a form.
func authorizeAgain(c *fiber.Ctx, query string) error {
	c.Set(fiber.HeaderLocation, "/oauth2/authorize?"+query)
	c.Status(http.StatusSeeOther)
	return nil
}

// login answers POST /oauth2/login.
func (s *Server) login(c *fiber.Ctx) error {
	ctx := web.Context(c)
	field, err := s.form(c)
	if err != nil {
		return err
	}
	a, err := s.read(ctx, field("request"))
	if err != nil {
		return s.failed(c, err)
	}
	email, now := field("email"), time.Now()
	user, err := s.opts.Accounts.LogIn(ctx, email, field("password"), web.ClientIP(c))
	if err == nil {
		err = s.remember(c, user, now)
	}
	known := (*errs.Error)(nil)
	switch {
	case err == nil:
		a.values.Del("prompt") // done, if it was "login"
		return authorizeAgain(c, a.values.Encode())
	case !errors.As(err, &known) || !isBusy(err) && known.Kind.Status() >= 500:
		return err
	}
	message := "The e-mail address or the password is wrong, or the address has not been confirmed yet."
	switch {
	case errors.Is(err, app.ErrLoginLocked):
		message = "Too many failed attempts. Try again " + later(known.RetryAfter, now) + "."
	case isBusy(err):
		message = "We can't log you in at the moment. Try again " + later(max(known.RetryAfter, time.Second), now) + "."
	}
	if known.RetryAfter > 0 {
		c.Set(fiber.HeaderRetryAfter, seconds(known.RetryAfter))
	}
	return s.showLogin(c, a, known.Kind.Status(), loginPage{Email: trimmed(email, 254), Error: message})
}

// remember keeps the login for this browser.
func (s *Server) remember(c *fiber.Ctx, user app.User, authTime time.Time) error {
	secret, hash := newSecret(loginPrefix)
	var before []byte
	if old := s.secretOf(c, loginCookie, loginPrefix); old != "" {
		before = hashOf(old)
	}
	b := app.Browser{Hash: hash, UserID: user.ID, AuthTime: authTime, ExpiresAt: authTime.Add(app.BrowserLife)}
	if err := s.opts.Store.OpenBrowser(web.Context(c), b, user.Version, before); err != nil {
		return err
	}
	s.setCookie(c, loginCookie, secret, time.Time{})
	return nil
}

// later says when to try again, in words and for longer waits with the time.
func later(after time.Duration, now time.Time) string {
	switch n := int((after + time.Second - 1) / time.Second); {
	case n <= 1:
		return "in a second"
	case n < 90:
		return "in " + seconds(after) + " seconds"
	default:
		return "at " + now.Add(after).UTC().Format("15:04") + " UTC, in " + seconds(after/60) + " minutes"
	}
}

// permission is a scope in words for people.
func permission(scope string) string {
	switch scope {
	case "account":
		return "See and change your profile, addresses and password, and delete your account"
	case "orders":
		return "See your orders, and place and cancel orders for you"
	case "users:read":
		return "Look up customers"
	case "users:write":
		return "Change customers' accounts"
	case "users:roles":
		return "Change what users may do"
	case "orders:read":
		return "See all orders"
	case "orders:write":
		return "Change all orders"
	case "catalog:write":
		return "Change products and prices"
	case "inventory:read":
		return "See stock"
	case "inventory:write":
		return "Change stock"
	case "payments:write":
		return "Make and refund payments"
	}
	return scope
}

func (s *Server) showConsent(c *fiber.Ctx, a asking, user app.User, scopes []string) error {
	again := url.Values{}
	for name, v := range a.values {
		again[name] = slices.Clone(v)
	}
	again.Set("prompt", "login")
	var permissions []string
	for _, scope := range scopes {
		permissions = append(permissions, permission(scope))
	}
	return s.show(c, http.StatusOK, "consent", view{Title: "Allow access", FormAction: a.source(), Data: map[string]any{
		"Client": a.client.Name, "Request": a.query, "Email": user.Email, "Permissions": permissions, "Site": a.request.GetRedirectURI().Host,
		"Other": "/oauth2/authorize?" + again.Encode(),
	}})
}

// consent answers POST /oauth2/consent.
func (s *Server) consent(c *fiber.Ctx) error {
	ctx := web.Context(c)
	field, err := s.form(c)
	if err != nil {
		return err
	}
	a, err := s.read(ctx, field("request"))
	if err != nil {
		return s.failed(c, err)
	}
	if field("decision") != "allow" {
		return s.back(c, a, fosite.ErrAccessDenied.WithHint("The user does not allow it."))
	}
	browser, err := s.browser(c)
	if err == nil {
		var user app.User
		if user, err = s.opts.Accounts.User(ctx, browser.UserID); err == nil {
			err = s.opts.Store.Consent(ctx, browser, a.client.ID, common(a.scopes, app.ScopesOf(user.Roles)))
		}
	}
	if err != nil && !errors.Is(err, app.ErrNoGrant) && !noUser(err) {
		return err
	}
	a.values.Del("prompt")
	return authorizeAgain(c, a.values.Encode()) // who is not logged in any more is asked to
}
