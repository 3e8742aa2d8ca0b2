package web

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/logs"
	"souk/internal/metrics"
)

func scrape(reg *metrics.Registry) string {
	w := httptest.NewRecorder()
	reg.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/api", func(c *fiber.Ctx) error { return Send(c, 200, 1) })
		app.Get("/docs", func(c *fiber.Ctx) error {
			c.Set("Content-Security-Policy", "default-src 'self'")
			return c.SendString("docs")
		})
	})
	for path, policy := range map[string]string{"/api": "default-src 'none'; frame-ancestors 'none'", "/docs": "default-src 'self'", "/nothing": "default-src 'none'; frame-ancestors 'none'"} {
		a := r.do("GET", path, nil)
		if a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Content-Security-Policy") != policy || a.Header.Get("Server") != "" {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
}

func TestMetricsAreByTemplate(t *testing.T) {
	reg := metrics.New("probe", "1")
	r := start(t, Options{Metrics: reg}, func(app *fiber.App) {
		probeRoutes(app)
		app.Group("/admin", func(*fiber.Ctx) error { return errs.New(errs.Forbidden, "no", "no") }).Get("/x", func(*fiber.Ctx) error { return nil })
		app.All("/proxy/*", func(c *fiber.Ctx) error {
			SetRoute(c, "catalog products")
			return c.SendStatus(204)
		})
	})
	for i := range 20 {
		r.do("GET", fmt.Sprintf("/v1/things/%d", i), nil)
		r.do("GET", fmt.Sprintf("/nothing/%d", i), nil)
		r.do("GET", fmt.Sprintf("/admin/%d", i), nil)
		r.do("GET", fmt.Sprintf("/proxy/%d", i), nil)
		r.raw(fmt.Sprintf("M%d / HTTP/1.1\nHost: x\n\n", i))
		r.raw("\x00\n\n")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, f := range families {
		if f.GetName() != "http_server_request_duration_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			var key []string
			for _, l := range m.GetLabel() {
				key = append(key, l.GetValue())
			}
			got[strings.Join(key, " ")] = m.GetHistogram().GetSampleCount()
		}
	}
	want := map[string]uint64{
		"GET /v1/things/:id 2xx": 20, "GET none 4xx": 20, "GET /admin 4xx": 20, "GET catalog products 2xx": 20, "other none 5xx": 20, "other malformed 4xx": 20,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestTheAccessLogIsOneLineWithoutSecrets(t *testing.T) {
	r := start(t, Options{LoggedQuery: []string{"limit"}}, func(app *fiber.App) {
		app.Post("/v1/things/:id", func(c *fiber.Ctx) error {
			logs.With(Context(c))
			return errs.New(errs.Internal, "broken", "x").Because(errors.New("dial postgres://app:hunter22@db/x: token hvs.CAESIabcdefghijklmnop"))
		})
	})
	const jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
	a := r.do("POST", "/v1/things/"+jwt+"?limit=5&token=s3cretvalue&q=%6Corem", strings.NewReader("hello"),
		"Authorization: Bearer "+jwt, "Cookie: session=s3cretvalue", "User-Agent: probe\x09"+strings.Repeat("x", 5000), "X-Request-Id: r-1")
	wantProblem(t, a, 500, "broken")
	found := r.log.with("r-1")
	if len(found) != 1 {
		t.Fatalf("%d lines", len(found))
	}
	l := found[0]
	for key, want := range map[string]any{
		"log.level": "error", "message": "request", "service.name": "probe", "http.request.method": "POST", "http.route": "/v1/things/:id",
		"url.path": "/v1/things/***", "url.query": "limit=5&token=***&q=***", "http.response.status_code": 500.0, "http.request.id": "r-1",
		"http.request.body.bytes": 5.0, "client.ip": "127.0.0.1", "event.outcome": "failure", "error.code": "broken",
	} {
		if l[key] != want {
			t.Errorf("%s: %v, want %v", key, l[key], want)
		}
	}
	if len(fmt.Sprint(l["trace.id"])) != 32 || l["event.duration"].(float64) <= 0 || len(fmt.Sprint(l["user_agent.original"])) > maxUserAgent {
		t.Errorf("%v", l)
	}
	for _, secret := range []string{"hunter22", "s3cretvalue", jwt, "hvs.CAES", "lorem"} {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}
