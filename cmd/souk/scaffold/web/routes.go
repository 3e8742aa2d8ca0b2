// Package web is the service's REST API.
package web

import (
	"github.com/gofiber/fiber/v2"

	"souk/cmd/souk/scaffold/app"
)

// Routes are all routes of the service, as openAPI (YAML) describes them. pageSize is how many items a page has whose
// limit the client does not give; it is asked on each use.
func Routes(r fiber.Router, items *app.Items, pageSize func() int, openAPI []byte) {
	h := handlers{items, pageSize}

	r.Get("/v1/items", h.list)
	r.Post("/v1/items", h.create)
	r.Get("/v1/items/:id", h.read)
	r.Patch("/v1/items/:id", h.rename)

	r.Get("/openapi.yaml", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/yaml") // RFC 9512
		return c.Send(openAPI)
	})
}

type handlers struct {
	items    *app.Items
	pageSize func() int
}
