// Package web is the catalogue's REST API.
package web

import (
	"github.com/gofiber/fiber/v2"

	"souk/services/catalog/app"
)

// Routes are all routes of the catalogue, as openAPI (YAML) describes them. Reading is
// for everybody, writing for merchandisers; who calls is checked by the gateway.
func Routes(r fiber.Router, catalog *app.Catalog, openAPI []byte) {
	h := handlers{catalog}

	r.Get("/v1/products", h.listProducts)
	r.Post("/v1/products", h.createProduct)
	r.Get("/v1/products/:id", h.getProduct)
	r.Patch("/v1/products/:id", h.updateProduct)
	r.Delete("/v1/products/:id", h.archiveProduct)

	r.Get("/v1/categories", h.listCategories)
	r.Post("/v1/categories", h.createCategory)
	r.Get("/v1/categories/:category", h.getCategory)
	r.Patch("/v1/categories/:category", h.updateCategory)
	r.Delete("/v1/categories/:category", h.archiveCategory)

	r.Get("/openapi.yaml", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/yaml") // RFC 9512
		return c.Send(openAPI)
	})
}

type handlers struct{ catalog *app.Catalog }
