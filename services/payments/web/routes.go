// Package web is the service's REST API.
package web

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/payments/app"
)

// Options are what the routes call.
type Options struct {
	Payments *app.Payments
	Webhooks *app.Webhooks
	Verifier *tokens.Verifier
	PageSize func() int // items of a page whose limit the client does not give; asked on each use
	OpenAPI  []byte     // YAML
}

// asking is the time of a request that waits for a provider: more than app.Options.Wait.
const asking = 10 * time.Second

// Routes are all routes of the service, as openapi.yaml describes them. Behind write, a token must have payments:write; behind read
// that, or the scope orders for the payments of the user's own orders.
func Routes(r fiber.Router, o Options) {
	h := handlers{o.Payments, o.PageSize}
	write, read := o.Verifier.Require("payments:write"), o.Verifier.Require("payments:write", "orders")
	v1 := r.Group("/v1", private)

	v1.Post("/payment-intents", write, h.create)                       //
	v1.Get("/payment-intents", read, h.ofOrder)                        // own ones, or all
	v1.Get("/payment-intents/:id", read, h.read)                       // own ones, or all
	v1.Post("/payment-intents/:id/confirm", write, patient, h.confirm) //
	v1.Post("/payment-intents/:id/capture", write, patient, h.capture) //
	v1.Post("/payment-intents/:id/cancel", write, patient, h.cancel)   //
	v1.Post("/refunds", write, patient, h.refund)                      //
	v1.Get("/refunds", read, h.refunds)                                // own ones, or all
	v1.Post("/provider-webhooks/:provider", h.notice)                  // whose signature is good
	registerWebhookEndpoints(v1, o.Webhooks, o.PageSize, write)        // webhook_endpoints.go

	internal := r.Group("/internal", private, only("reconcile"))
	internal.Get("/reconciliation", h.positions)
	internal.Get("/reconciliation/totals", h.totals)

	r.Get("/openapi.yaml", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, "application/yaml") // RFC 9512
		return c.Send(o.OpenAPI)
	})
}

type handlers struct {
	payments *app.Payments
	pageSize func() int
}

// patient gives the request the time that a provider may take.
func patient(c *fiber.Ctx) error {
	httpserver.SetTimeout(c, asking)
	return c.Next()
}
