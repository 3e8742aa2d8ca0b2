package main

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/cors"

	"souk/internal/web"
)

// web are the limits of the server that the routes run in. What is missing is the caller's:
// service, log and metrics.
func (c *Config) web() web.Options {
	l := c.Listen
	return web.Options{
		BodyLimit: l.BodyLimit, HeaderLimit: l.HeaderLimit, MaxConnections: l.Connections, Concurrency: l.Requests,
		ReadTimeout: l.ReadTimeout, WriteTimeout: l.WriteTimeout, IdleTimeout: l.IdleTimeout,
		DrainDelay: l.DrainDelay, DrainTimeout: l.DrainTimeout, TrustForwarded: l.TrustForwarded, Streams: c.Streams.Limit,
	}
}

// The one document of everything that is routed.
const (
	wholeJSON = "/openapi.json"
	wholeYAML = "/openapi.yaml"
)

// routes are the gateway's own paths; everything else is the table's, which comes from
// the configuration.
func (g *gateway) routes(app *fiber.App) {
	app.Use(g.cors())
	app.All("/", get(g.index))
	app.All("/docs", get(func(c *fiber.Ctx) error { return c.Redirect("/docs/", http.StatusPermanentRedirect) }))
	app.All("/docs/", get(g.docsPage))
	app.All("/docs/:file", get(newDocsFiles().serve))
	app.All(wholeJSON, get(g.documents.serve(fiber.MIMEApplicationJSON, func(w *wholeDocument) []byte { return w.json })))
	app.All(wholeYAML, get(g.documents.serve("application/yaml", func(w *wholeDocument) []byte { return w.yaml })))
	app.Use(g.serve)
}

// get answers other methods with 405.
func get(h fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		switch c.Method() {
		case fiber.MethodGet, fiber.MethodHead:
			return h(c)
		}
		c.Set(fiber.HeaderAllow, "GET, HEAD")
		return fiber.ErrMethodNotAllowed
	}
}

// cors answers preflight requests of the origins that the configuration names now.
func (g *gateway) cors() fiber.Handler {
	return cors.New(cors.Config{
		Next:             func(*fiber.Ctx) bool { return len(g.config.Load().CORS.Origins) == 0 },
		AllowOriginsFunc: func(origin string) bool { return g.config.Load().CORS.allows(origin) },
		AllowMethods:     "GET,HEAD,POST,PUT,PATCH,DELETE",
		ExposeHeaders:    "ETag,Link,Location,Retry-After,RateLimit,RateLimit-Policy,WWW-Authenticate,X-Request-Id,Idempotent-Replayed",
		MaxAge:           600,
	})
}

func (c CORS) allows(origin string) bool {
	for _, o := range c.Origins {
		if o == origin {
			return true
		}
	}
	return false
}

// index tells a client what is here.
func (g *gateway) index(c *fiber.Ctx) error {
	type api struct {
		Name     string `json:"name"`
		Document string `json:"document"` // OpenAPI
	}
	apis := []api{}
	for _, a := range g.config.Load().APIs {
		apis = append(apis, api{a.Name, documentPath(a.Name)})
	}
	c.Set(fiber.HeaderCacheControl, "no-cache")
	return web.Send(c, http.StatusOK, map[string]any{"service": "souk", "docs": "/docs/", "openapi": wholeJSON, "apis": apis})
}
