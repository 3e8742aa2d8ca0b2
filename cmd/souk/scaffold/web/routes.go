// Package web is the service's REST API: its routes, and handlers that make calls of app out of requests.
package web

import (
	"github.com/gofiber/fiber/v2"

	"souk/cmd/souk/scaffold/app"
)

// API is what the routes need.
type API struct {
	Items    *app.Items
	PageSize func() int // items of a page whose limit the client does not give; asked on each use
	Contract []byte     // openapi.yaml
}

// Register adds every route. guard comes before each of them and decides who may call.
func (a *API) Register(r fiber.Router, guard fiber.Handler) {
	r.Use(guard)
	r.Post("/v1/items", a.create)
	r.Get("/v1/items", a.list)
	r.Get("/v1/items/:id", a.read)
	r.Patch("/v1/items/:id", a.rename)
	r.Get("/openapi.yaml", a.contract)
}

func (a *API) contract(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, "application/yaml") // RFC 9512
	return c.Send(a.Contract)
}
