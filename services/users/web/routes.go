// Package web is the REST API of accounts. The OAuth endpoints and pages are in package oauth.
package web

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"

	"souk/internal/tokens"
	"souk/services/users/app"
)

// Tokens are what a login gives (RFC 6749, section 5.1), with the session they belong to.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"` // "Bearer"
	ExpiresIn    int64  `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"` // names with spaces between them
	SessionID    string `json:"session_id"`
}

// LogIn opens a session for a user whose password was right, and issues its tokens: oauth.Server.LogIn.
type LogIn func(ctx context.Context, user app.User, userAgent, address string) (Tokens, error)

// Options are what the routes call.
type Options struct {
	Accounts *app.Accounts
	Sessions *app.Sessions
	LogIn    LogIn
	Verifier *tokens.Verifier
	OpenAPI  []byte // YAML
}

// recent is how long ago the password may have been given for what can't be undone.
const recent = 5 * time.Minute

// Routes are all routes of the REST API, as openapi.yaml describes them. Behind need, an access token must have the scope; own
// routes are for users, on their own account.
func Routes(r fiber.Router, opts Options) {
	h := handlers{opts.Accounts, opts.Sessions, opts.LogIn}
	need := func(scope string) fiber.Handler { return opts.Verifier.Require(scope) }
	own := func(handle fiber.Handler) []fiber.Handler { return []fiber.Handler{need("account"), usersOnly, handle} }
	v1 := r.Group("/v1", private)

	v1.Post("/users", h.register)                               // anybody
	v1.Post("/email-verifications", h.verifyEmail)              // who has the link
	v1.Post("/email-verifications/resend", h.resend)            // anybody
	v1.Post("/password-resets", h.requestReset)                 // anybody
	v1.Post("/password-resets/confirm", h.resetPassword)        // who has the link
	v1.Post("/sessions", h.logIn)                               // who knows the password
	v1.Get("/users/me", own(h.readMe)...)                       //
	v1.Patch("/users/me", own(h.changeMe)...)                   //
	v1.Delete("/users/me", own(h.eraseMe)...)                   // logged in within recent (RFC 9470)
	v1.Put("/users/me/password", own(h.changePassword)...)      // who knows the current one
	v1.Get("/users/me/export", own(h.export)...)                //
	v1.Get("/users/me/sessions", own(h.listSessions)...)        //
	v1.Delete("/users/me/sessions", own(h.endSessions)...)      //
	v1.Delete("/users/me/sessions/:id", own(h.endSession)...)   //
	v1.Get("/users", need("users:read"), h.findUser)            //
	v1.Get("/users/:id", need("users:read"), h.readUser)        //
	v1.Put("/users/:id/roles", need("users:roles"), h.setRoles) //

	internal := r.Group("/internal", private, only("notifications"))
	internal.Post("/mails/:id", h.mailContent)
	internal.Post("/contacts", h.contacts)

	r.Get("/openapi.yaml", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/yaml") // RFC 9512
		return c.Send(opts.OpenAPI)
	})
}

type handlers struct {
	accounts *app.Accounts
	sessions *app.Sessions
	open     LogIn
}
