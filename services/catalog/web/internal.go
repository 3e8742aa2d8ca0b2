package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/identity"
	httpserver "souk/internal/web"
	"souk/services/catalog/app"
)

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

// prices answers what SKUs are sold for now.
func (h handlers) prices(c *fiber.Ctx) error {
	var in struct {
		SKUs []string `json:"skus"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	offers, err := h.catalog.Offers(httpserver.Context(c), in.SKUs)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return httpserver.Send(c, http.StatusOK, struct {
		Prices []app.Offer `json:"prices"`
	}{offers})
}
