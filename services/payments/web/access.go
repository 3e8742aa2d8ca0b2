package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/identity"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/payments/app"
)

// private keeps answers out of every cache: they are about somebody's money.
func private(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Next()
}

// only lets the one service pass that shows its certificate. Intentions say who may call at all; what is here, fewer may have.
func only(service string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		caller, err := identity.PeerService(httpserver.PeerCertificate(c))
		if err != nil {
			return errs.New(errs.Unauthenticated, "client-certificate-missing", "call with the certificate of a Souk service").Because(err)
		}
		if caller != service {
			return errs.New(errs.Forbidden, "caller-not-allowed", "this is for the service %s alone", service)
		}
		return c.Next()
	}
}

// who asks: a customer sees no payments but the own ones.
func who(c *fiber.Ctx) app.Who {
	p := tokens.Of(c)
	return app.Who{User: p.User, All: p.Has("payments:write")}
}

// idOf is the path's id, written as Souk writes ids; anything else names nothing.
func idOf(c *fiber.Ctx) (uuid.UUID, error) {
	text, err := httpserver.Param(c, "id")
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text { // Parse takes other spellings too
		return uuid.Nil, app.ErrNotFound
	}
	return id, nil
}

// idIn is the id in a query's parameter, which must be there.
func idIn(q *httpserver.QueryReader, name string) (uuid.UUID, error) {
	text := q.String(name, "")
	if err := q.Err(); err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text {
		return uuid.Nil, errs.New(errs.Invalid, "bad-query", "the query can't be read").With(errs.Field{Pointer: "?" + name, Detail: "must be an id"})
	}
	return id, nil
}

// onceOf is the request's Idempotency-Key, nil if it has none. It belongs to whom the token speaks for.
func onceOf(c *fiber.Ctx) (*app.Once, error) {
	key, fingerprint, err := httpserver.IdempotencyKey(c)
	if err != nil || key == "" {
		return nil, err
	}
	return &app.Once{Principal: tokens.Of(c).Key(), Route: c.Method() + " " + c.Route().Path, Key: key, Fingerprint: fingerprint}, nil
}

// mustOnce is onceOf for routes that need a key.
func mustOnce(c *fiber.Ctx) (app.Once, error) {
	if _, _, err := httpserver.RequireIdempotencyKey(c); err != nil {
		return app.Once{}, err
	}
	once, err := onceOf(c)
	if err != nil {
		return app.Once{}, err
	}
	return *once, nil
}
