package web

import (
	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/identity"
	httpserver "souk/internal/web"
)

const readScope = "inventory:read"

// fresh keeps answers out of every cache: stock changes all the time, and some answers depend on who asks.
func fresh(c *fiber.Ctx) error {
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
