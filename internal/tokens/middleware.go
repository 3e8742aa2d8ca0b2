package tokens

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/web"
)

// Require lets a request pass whose token has one of the scopes; none named: any good
// token. The others are answered as RFC 6750, section 3.1, says.
func (v *Verifier) Require(scopes ...string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if err := v.Authorize(c, scopes); err != nil {
			return err
		}
		return c.Next()
	}
}

// Optional lets a request pass that has no Authorization header, as nobody's: Of is then nil. One that has is treated as
// by Require: what is wrong with it is an error and not ignored, so that nobody who believes to be known is not.
func (v *Verifier) Optional(scopes ...string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if sent := c.Context().Request.Header.PeekAll(fiber.HeaderAuthorization); len(sent) > 1 || len(sent) == 1 && len(sent[0]) > 0 {
			if err := v.Authorize(c, scopes); err != nil {
				return err
			}
		}
		return c.Next()
	}
}

// Authorize is Require for who has no next handler.
func (v *Verifier) Authorize(c *fiber.Ctx, scopes []string) error {
	token, err := bearer(c)
	if err != nil {
		return err
	}
	p, err := v.verify(func() context.Context { return web.Context(c) }, token)
	if err != nil {
		if errs.KindOf(err) == errs.Unauthenticated {
			challenge(c, "invalid_token", `error_description="`+errs.CodeOf(err)+`"`)
		}
		return err
	}
	if !p.HasAny(scopes...) {
		challenge(c, "insufficient_scope", `scope="`+strings.Join(scopes, " ")+`"`)
		return errs.New(errs.Forbidden, "insufficient-scope", "this needs an access token with the scope %s", strings.Join(scopes, " or "))
	}
	c.Context().SetUserValue(principalKey{}, p)
	return nil
}

type principalKey struct{}

// Of is who asks, on routes behind Require, and behind Optional if somebody does; elsewhere nil.
func Of(c *fiber.Ctx) *Principal {
	p, _ := c.Context().UserValue(principalKey{}).(*Principal)
	return p
}

// Recent refuses a user whose password was asked longer than limit ago, as RFC 9470 says.
// It stands behind Require.
func Recent(c *fiber.Ctx, limit time.Duration) error {
	if p := Of(c); p != nil && !p.AuthTime.IsZero() && time.Since(p.AuthTime) <= limit {
		return nil
	}
	challenge(c, "insufficient_user_authentication", "max_age="+strconv.Itoa(int(limit.Seconds())))
	return errs.New(errs.Unauthenticated, "insufficient-user-authentication", "log in again and repeat this within %s", limit)
}

// bearer is the token of the Authorization header, and valid as long as the request is.
// Tokens in a query or a body (RFC 6750, sections 2.2 and 2.3) are not looked for: URLs are
// logged.
func bearer(c *fiber.Ctx) (string, error) {
	sent := c.Context().Request.Header.PeekAll(fiber.HeaderAuthorization)
	switch {
	case len(sent) == 0 || len(sent) == 1 && len(sent[0]) == 0:
		c.Set(fiber.HeaderWWWAuthenticate, bearerRealm)
		return "", errs.New(errs.Unauthenticated, "token-required", "this needs an access token: send Authorization: Bearer and the token")
	case len(sent) > 1:
		challenge(c, "invalid_request", "")
		return "", errs.New(errs.Invalid, "bad-authorization", "send one Authorization header")
	}
	scheme, token, _ := bytes.Cut(sent[0], []byte{' '})
	if !bytes.EqualFold(scheme, []byte("Bearer")) {
		c.Set(fiber.HeaderWWWAuthenticate, bearerRealm)
		return "", errs.New(errs.Unauthenticated, "token-required", "this needs an access token: the Authorization header must begin with Bearer")
	}
	token = bytes.TrimLeft(token, " ")
	return unsafe.String(unsafe.SliceData(token), len(token)), nil
}

const bearerRealm = `Bearer realm="souk"`

// challenge tells the client what to do (RFC 6750, section 3).
func challenge(c *fiber.Ctx, code, parameter string) {
	value := bearerRealm + `, error="` + code + `"`
	if parameter != "" {
		value += ", " + parameter
	}
	c.Set(fiber.HeaderWWWAuthenticate, value)
}
