package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/identity"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/orders/app"
)

// private keeps answers out of every cache: all are about somebody.
func private(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Next()
}

// usersOnly lets tokens of users pass: a service buys nothing.
func usersOnly(c *fiber.Ctx) error {
	if tokens.Of(c).User == uuid.Nil {
		return errs.New(errs.Forbidden, "user-required", "this is for a user; a service's token stands for none")
	}
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

// idOf is the path's id, written as Souk writes ids; anything else names nothing.
func idOf(c *fiber.Ctx, notFound error) (uuid.UUID, error) {
	text, err := httpserver.Param(c, "id")
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text { // Parse takes other spellings too
		return uuid.Nil, notFound
	}
	return id, nil
}

// onceOf is the request's Idempotency-Key, which it must have. It belongs to whom the token speaks for.
func onceOf(c *fiber.Ctx) (app.Once, error) {
	key, fingerprint, err := httpserver.RequireIdempotencyKey(c)
	if err != nil {
		return app.Once{}, err
	}
	return app.Once{Principal: tokens.Of(c).Key(), Route: c.Method() + " " + c.Route().Path, Key: key, Fingerprint: fingerprint}, nil
}
