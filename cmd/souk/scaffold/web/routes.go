// Package web is the service's REST API.
package web

import (
	"github.com/gofiber/fiber/v2"

	"souk/cmd/souk/scaffold/app"
	"souk/internal/tokens"
)

// Routes are all routes of the service, as openAPI (YAML) describes them, each with the scope that a token needs.
// pageSize is how many items a page has whose limit the client does not give; it is asked on each use.
func Routes(r fiber.Router, items *app.Items, pageSize func() int, verifier *tokens.Verifier, openAPI []byte) {
	h := handlers{items, pageSize}
	read, write := verifier.Require("items:read"), verifier.Require("items:write")

	r.Get("/v1/items", read, h.list)
	r.Post("/v1/items", write, h.create)
	r.Get("/v1/items/:id", read, h.read)
	r.Patch("/v1/items/:id", write, h.rename)

	r.Get("/openapi.yaml", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/yaml") // RFC 9512
		return c.Send(openAPI)
	})
}

type handlers struct {
	items    *app.Items
	pageSize func() int
}
