// Package web is the service's REST API.
package web

import (
	"github.com/gofiber/fiber/v2"

	"souk/internal/tokens"
	"souk/services/inventory/app"
)

// Options are what the routes call.
type Options struct {
	Inventory *app.Inventory
	PageSize  func() int // entries of a page whose limit the client does not give; asked on each use
	Verifier  *tokens.Verifier
	OpenAPI   []byte // YAML
}

// Routes are all routes of the service, as openapi.yaml describes them, each with the scope that a token needs.
func Routes(r fiber.Router, opts Options) {
	h := handlers{opts.Inventory, opts.PageSize}
	read, write := opts.Verifier.Require(readScope), opts.Verifier.Require("inventory:write")
	v1 := r.Group("/v1", fresh)

	v1.Get("/inventory", h.list)                               // anybody
	v1.Get("/inventory/:sku", opts.Verifier.Optional(), h.one) // anybody; with inventory:read, more
	v1.Patch("/inventory/:sku", write, h.setThreshold)
	v1.Get("/inventory/:sku/adjustments", read, h.adjustments)
	v1.Post("/inventory/:sku/adjustments", write, h.adjust)
	v1.Get("/reservations/:order_id", read, h.reservation)

	internal := r.Group("/internal", fresh, only("reconcile"))
	internal.Get("/reconciliation", h.held)
	internal.Get("/reconciliation/totals", h.totals)

	r.Get("/openapi.yaml", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/yaml") // RFC 9512
		return c.Send(opts.OpenAPI)
	})
}

type handlers struct {
	inventory *app.Inventory
	pageSize  func() int
}
