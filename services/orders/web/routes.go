// Package web is the service's REST API.
package web

import (
	"github.com/gofiber/fiber/v2"

	"souk/internal/tokens"
	"souk/services/orders/app"
)

// Options are what the routes call.
type Options struct {
	Orders    *app.Orders
	Carts     *app.Carts
	Followers *app.Followers
	PageSize  func() int // items of a page whose limit the client does not give; asked on each use
	Verifier  *tokens.Verifier
	OpenAPI   []byte // YAML
}

// Routes are all routes of the service, as openapi.yaml describes them, each with the scopes of which a token needs one.
// With orders alone a user sees the user's own orders.
func Routes(r fiber.Router, opts Options) {
	h := orderHandlers{opts.Orders, opts.Followers, opts.PageSize}
	need := opts.Verifier.Require

	cartRoutes(r, opts.Carts, opts.Verifier, opts.PageSize)

	v1 := r.Group("/v1", private)
	v1.Post("/orders", need("orders"), usersOnly, h.place)
	v1.Get("/orders", need("orders", "orders:read"), h.list)
	v1.Get("/orders/:id", need("orders", "orders:read"), h.read)
	v1.Get("/orders/:id/events", need("orders", "orders:read"), h.events)
	v1.Post("/orders/:id/cancel", need("orders", "orders:write"), h.cancel)
	v1.Get("/orders/:id/fulfillments", need("orders", "orders:read"), h.listFulfilments)
	v1.Post("/orders/:id/fulfillments", need("orders:write"), h.fulfil)

	r.Get("/internal/reconciliation", private, only("reconcile"), h.reconciliation)

	r.Get("/openapi.yaml", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/yaml") // RFC 9512
		return c.Send(opts.OpenAPI)
	})
}

type orderHandlers struct {
	orders    *app.Orders
	followers *app.Followers
	pageSize  func() int
}
