package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	httpserver "souk/internal/web"
)

// notice takes a provider's webhook. The signature is over the body as it came, so nothing reads it before. Whatever
// is signed is answered with 204, or the provider would send it over and over.
func (h handlers) notice(c *fiber.Ctx) error {
	provider, err := httpserver.Param(c, "provider")
	if err != nil {
		return err
	}
	header := http.Header{}
	for name, value := range c.Request().Header.All() {
		header.Add(string(name), string(value))
	}
	body := append([]byte(nil), c.Body()...)
	if err := h.payments.Notice(httpserver.Context(c), provider, header, body); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}
