package web

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"souk/internal/logs"
	"souk/internal/metrics"
)

func benchServer(b *testing.B) *Server {
	b.Helper()
	s := New(Options{
		Service: "probe", Metrics: metrics.New("probe", "1"),
		Log: logs.New(io.Discard, "probe", "1", "i", "test", slog.LevelInfo),
	})
	s.App().Get("/v1/products/:id", func(c *fiber.Ctx) error {
		if Context(c).Err() != nil {
			return fiber.ErrTeapot
		}
		return Send(c, http.StatusOK, map[string]string{"id": c.Params("id")})
	})
	s.App().Get("/bare", func(c *fiber.Ctx) error { return c.SendString("ok") })
	s.App().Post("/v1/products", func(c *fiber.Ctx) error {
		var p product
		if err := JSON(c, &p); err != nil {
			return err
		}
		return Send(c, http.StatusCreated, p.Price)
	})
	s.App().Handler()
	return s
}

// run answers one parsed request over and over, without a connection.
func run(b *testing.B, handler fasthttp.RequestHandler, method, path, body string) {
	b.Helper()
	var fctx fasthttp.RequestCtx
	b.ReportAllocs()
	for b.Loop() {
		fctx.ResetUserValues()
		fctx.Response.Reset()
		fctx.Request.Reset()
		fctx.Request.Header.SetMethod(method)
		fctx.Request.SetRequestURI(path)
		fctx.Request.Header.SetHost("shop.example")
		fctx.Request.Header.SetUserAgent("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)")
		fctx.Request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		fctx.Request.Header.Set("X-Request-Id", "01a2092e-9fb5-7940-b62f-5c479eeba52f")
		fctx.Request.Header.SetProtocol("HTTP/1.1")
		if body != "" {
			fctx.Request.Header.SetContentType(JSONType)
			fctx.Request.SetBodyString(body)
		}
		handler(&fctx)
	}
	if status := fctx.Response.StatusCode(); status/100 != 2 {
		b.Fatalf("status %d: %s", status, fctx.Response.Body())
	}
}

const productBody = `{"title":"Tea","count":3,"tags":["a","b"],"price":{"amount":1290,"currency":"EUR"},"labels":{"origin":"Assam"}}`

// The difference between the first two is what this package costs.
func BenchmarkFiberAlone(b *testing.B) {
	app := fiber.New(fiber.Config{Immutable: true, DisableStartupMessage: true})
	app.Get("/bare", func(c *fiber.Ctx) error { return c.SendString("ok") })
	run(b, app.Handler(), "GET", "/bare", "")
}

func BenchmarkChain(b *testing.B) { run(b, benchServer(b).handle, "GET", "/bare", "") }

func BenchmarkChainWithContextAndJSON(b *testing.B) {
	run(b, benchServer(b).handle, "GET", "/v1/products/01a2092e-9fb5-7940-b62f-5c479eeba52f?limit=5", "")
}

func BenchmarkChainWithBody(b *testing.B) {
	run(b, benchServer(b).handle, "POST", "/v1/products", productBody)
}

func BenchmarkChainProblem(b *testing.B) {
	s := benchServer(b)
	var fctx fasthttp.RequestCtx
	b.ReportAllocs()
	for b.Loop() {
		fctx.Response.Reset()
		fctx.Request.SetRequestURI("/nothing")
		fctx.Request.Header.SetHost("x")
		s.handle(&fctx)
	}
}

func BenchmarkDecodeJSON(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(productBody)))
	for b.Loop() {
		var p product
		if err := DecodeJSON([]byte(productBody), &p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkKeptConnection is one client and the server over loopback.
func BenchmarkKeptConnection(b *testing.B) {
	r := start(b, Options{Metrics: metrics.New("probe", "1")}, func(app *fiber.App) {
		app.Get("/bare", func(c *fiber.Ctx) error { return c.SendString("ok") })
	})
	c := r.dial()
	br := bufio.NewReader(c)
	var resp fasthttp.Response
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.WriteString(c, "GET /bare HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			b.Fatal(err)
		}
		if err := resp.Read(br); err != nil {
			b.Fatal(err)
		}
	}
}
