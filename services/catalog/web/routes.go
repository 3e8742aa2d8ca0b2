// Package web is the catalogue's REST API.
package web

import (
	"github.com/gofiber/fiber/v2"

	"souk/internal/tokens"
	"souk/services/catalog/app"
)

// Routes are all routes of the catalogue, as openAPI (YAML) describes them. Reading is for
// everybody; writing takes a token with the scope catalog:write, whoever else has checked it.
func Routes(r fiber.Router, catalog *app.Catalog, verifier *tokens.Verifier, openAPI []byte) {
	h := handlers{catalog}
	write := verifier.Require("catalog:write")

	r.Get("/v1/products", h.listProducts)
	r.Post("/v1/products", write, h.createProduct)
	r.Get("/v1/products/:id", h.getProduct)
	r.Patch("/v1/products/:id", write, h.updateProduct)
	r.Delete("/v1/products/:id", write, h.archiveProduct)

	r.Get("/v1/categories", h.listCategories)
	r.Post("/v1/categories", write, h.createCategory)
	r.Get("/v1/categories/:category", h.getCategory)
	r.Patch("/v1/categories/:category", write, h.updateCategory)
	r.Delete("/v1/categories/:category", write, h.archiveCategory)

	r.Post("/internal/prices", only("orders"), h.prices)

	r.Get("/openapi.yaml", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/yaml") // RFC 9512
		return c.Send(openAPI)
	})
}

type handlers struct{ catalog *app.Catalog }
