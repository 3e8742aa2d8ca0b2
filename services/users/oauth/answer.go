package oauth

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/ory/fosite"

	"souk/internal/errs"
	"souk/internal/logs"
	"souk/internal/web"
	"souk/services/users/app"
)

// errTooLarge has no code of its own in RFC 6749.
var errTooLarge = &fosite.RFC6749Error{ErrorField: "invalid_request", DescriptionField: "The request is too large.", CodeField: http.StatusRequestEntityTooLarge}

// explain puts an error into the terms of RFC 6749, section 5.2; only its own texts reach a client.
func explain(err error) (e *fosite.RFC6749Error, after time.Duration) {
	known := (*errs.Error)(nil)
	switch {
	case errors.As(err, &e):
		return e, 0
	case errors.Is(err, app.ErrNoGrant), noUser(err):
		return fosite.ErrInvalidGrant.WithHint("It is unknown, has expired or was revoked."), 0
	case errors.Is(err, app.ErrReused):
		return fosite.ErrInvalidGrant.WithHint("It was used before; what it gave has been revoked."), 0
	case errors.As(err, &known) && (known.Kind == errs.Unavailable || known.Kind == errs.TooMany || known.Kind == errs.Timeout):
		return fosite.ErrTemporarilyUnavailable.WithDescription("The authorization server can't do this at the moment: " + known.Detail + "."), known.RetryAfter
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fosite.ErrTemporarilyUnavailable.WithDescription("The answer took too long; try again."), time.Second
	}
	return fosite.ErrServerError.WithDescription("The authorization server met a condition that it did not expect."), 0
}

// noUser tells that there is no such user, or not any more.
func noUser(err error) bool {
	return errors.Is(err, app.ErrUserNotFound) || errors.Is(err, app.ErrGone)
}

// describe keeps of a description what RFC 6749, section 5.2, allows in one. Parts of requests are quoted in some.
func describe(e *fosite.RFC6749Error) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, e.GetDescription())
}

// refuse answers a program with an error.
func (s *Server) refuse(c *fiber.Ctx, err error) error {
	e, after := explain(err)
	if e.CodeField >= http.StatusInternalServerError {
		s.opts.Log.WarnContext(web.Context(c), "an OAuth request failed", logs.Err(err), "answer", e.ErrorField)
	}
	if after > 0 {
		c.Set(fiber.HeaderRetryAfter, seconds(after))
	}
	if e.CodeField == http.StatusUnauthorized {
		c.Set(fiber.HeaderWWWAuthenticate, `Basic realm="souk", charset="UTF-8"`)
	}
	return s.answer(c, e.CodeField, map[string]string{"error": e.ErrorField, "error_description": describe(e)})
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// answer sends JSON that nobody may keep.
func (s *Server) answer(c *fiber.Ctx, status int, v any) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderPragma, "no-cache") // RFC 6749, section 5.1
	return web.Send(c, status, v)
}
