package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/logs"
	"souk/internal/metrics"
)

func TestAPanicIsA500AndTheServerGoesOn(t *testing.T) {
	reg := metrics.New("probe", "1")
	r := start(t, Options{Metrics: reg}, func(app *fiber.App) {
		app.Get("/panic/:how", func(c *fiber.Ctx) error {
			_ = c.SendString("half an answer")
			switch c.Params("how") {
			case "range":
				return []error{}[len(c.Path())]
			case "error":
				panic(errors.New("password=hunter22"))
			}
			panic("s3cret")
		})
		app.Get("/ok", func(c *fiber.Ctx) error { return c.SendString("ok") })
	})
	for _, how := range []string{"range", "error", "text"} {
		a := r.do("GET", "/panic/"+how, nil)
		if p := wantProblem(t, a, 500, "internal"); p.Detail != "" || strings.Contains(string(a.body), "s3cret") {
			t.Errorf("%s", a.body)
		}
	}
	if a := r.do("GET", "/ok", nil); string(a.body) != "ok" {
		t.Errorf("after it: %d %s", a.StatusCode, a.body)
	}
	found := r.log.with("/panic/error")
	if len(found) != 1 || found[0]["log.level"] != "error" || found[0]["http.route"] != "/panic/:how" ||
		!strings.Contains(fmt.Sprint(found[0]["error.stack_trace"]), "pipeline_test.go") {
		t.Errorf("log: %v", found)
	}
	if strings.Contains(r.log.String(), "hunter22") {
		t.Error("the log has a secret of the panic")
	}
	if !strings.Contains(scrape(reg), "http_server_panics_total 3\n") {
		t.Error("the panics were not counted")
	}
}

func TestErrorsBecomeProblems(t *testing.T) {
	cause := errors.New("pq: relation s3cret does not exist")
	for _, c := range []struct {
		err    error
		status int
		code   string
		shown  string
	}{
		{errs.New(errs.NotFound, "no-such-product", "there is no such product"), 404, "no-such-product", "no such product"},
		{errs.New(errs.Conflict, "sku-taken", "the SKU is taken").Because(cause), 409, "sku-taken", "taken"},
		{fmt.Errorf("store: %w", errs.New(errs.Unprocessable, "bad-price", "%d is too much", 7)), 422, "bad-price", "7 is too much"},
		{errs.New(errs.Internal, "broken", "s3cret"), 500, "broken", ""},
		{cause, 500, "internal", ""},
		{errors.Join(cause, errs.New(errs.Forbidden, "not-yours", "ask its owner")), 403, "not-yours", "ask its owner"},
		{fmt.Errorf("query: %w", context.DeadlineExceeded), 504, "timeout", "too long"},
		{errs.New(errs.Internal, "x", "").Because(context.DeadlineExceeded), 504, "timeout", "too long"},
		{errs.New(errs.Unavailable, "store-down", "later").Because(context.DeadlineExceeded), 503, "store-down", "later"},
		{context.Canceled, 503, "stopping", "stopping"},
		{fiber.ErrMethodNotAllowed, 405, "method-not-allowed", ""},
		{fmt.Errorf("x: %w", fiber.ErrNotFound), 404, "not-found", ""},
	} {
		p, _, _ := problemOf(c.err, &request{})
		if p.Status != c.status || p.Code != c.code || !strings.Contains(p.Detail, c.shown) || strings.Contains(p.Detail, "s3cret") {
			t.Errorf("%v: %+v", c.err, p)
		}
	}
}

func TestAProblemKeepsHandlersHeadersButNotThoseOfTheBody(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/", func(c *fiber.Ctx) error {
			c.Set("Access-Control-Allow-Origin", "https://shop.example")
			c.Set("ETag", `"7"`)
			c.Set("Location", "/x")
			c.Set("Content-Encoding", "gzip")
			_ = c.SendString("half")
			return errs.New(errs.TooMany, "slow-down", "slower").After(1500 * time.Millisecond).
				With(errs.Field{Pointer: "?limit", Detail: "is too high"})
		})
		app.Get("/who", func(*fiber.Ctx) error { return errs.New(errs.Unauthenticated, "no-token", "log in") })
	})
	a := r.do("GET", "/", nil)
	p := wantProblem(t, a, 429, "slow-down")
	if len(p.Errors) != 1 || p.Errors[0] != (ProblemError{"?limit", "is too high"}) || p.Instance != "/" || p.Title != "Too Many Requests" {
		t.Errorf("%s", a.body)
	}
	if a.Header.Get("Access-Control-Allow-Origin") == "" || a.Header.Get("Retry-After") != "2" {
		t.Errorf("missing: %v", a.Header)
	}
	for _, gone := range []string{"ETag", "Location", "Content-Encoding"} {
		if a.Header.Get(gone) != "" {
			t.Errorf("%s: %q", gone, a.Header.Get(gone))
		}
	}
	if a := r.do("GET", "/who", nil); a.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("401 without WWW-Authenticate: %v", a.Header)
	}
}

func TestTheRequestsTimeEndsItsContext(t *testing.T) {
	r := start(t, Options{RequestTimeout: 50 * time.Millisecond}, func(app *fiber.App) {
		app.Get("/heeds", func(c *fiber.Ctx) error {
			<-Context(c).Done()
			return Context(c).Err()
		})
		app.Get("/hides", func(c *fiber.Ctx) error { // as some drivers do
			<-Context(c).Done()
			return errors.New("server selection failed: deadline")
		})
		app.Get("/done", func(c *fiber.Ctx) error { // the effect is there: tell so
			<-Context(c).Done()
			return c.SendString("done")
		})
		app.Get("/longer", func(c *fiber.Ctx) error {
			SetTimeout(c, time.Hour)
			if d, ok := Context(c).Deadline(); !ok || time.Until(d) < time.Minute {
				return errors.New("SetTimeout did nothing")
			}
			return c.SendString("done")
		})
	})
	for _, path := range []string{"/heeds", "/hides"} {
		a := r.do("GET", path, nil)
		wantProblem(t, a, 504, "timeout")
		if a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	for _, path := range []string{"/done", "/longer"} {
		if a := r.do("GET", path, nil); string(a.body) != "done" {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
}

func TestTheContextEndsWithTheHandlerAndCarriesTheTrace(t *testing.T) {
	kept := make(chan context.Context, 1)
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/", func(c *fiber.Ctx) error {
			ctx := Context(c)
			if ctx != Context(c) {
				return errors.New("two contexts")
			}
			if tr, ok := logs.TraceFrom(ctx); !ok || tr != Trace(c) {
				return errors.New("another trace")
			}
			kept <- ctx
			return ctx.Err()
		})
	})
	if a := r.do("GET", "/", nil); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	ctx := <-kept
	eventually(t, "its end", func() bool { return errors.Is(ctx.Err(), context.Canceled) })
}

func TestAHandlerThatIgnoresItsDeadlineIsAnsweredFor(t *testing.T) {
	release := make(chan struct{})
	ended := make(chan string, 1)
	r := start(t, Options{RequestTimeout: time.Millisecond}, func(app *fiber.App) {
		app.Get("/stuck/:id", func(c *fiber.Ctx) error {
			<-release
			ended <- c.Params("id") + " " + c.Path() // its context is still its own
			return c.SendString("too late")
		})
		app.Get("/ok/:id", func(c *fiber.Ctx) error { return c.SendString(c.Params("id")) })
	})
	a := r.do("GET", "/stuck/mine", nil, "X-Request-Id: stuck-1")
	wantProblem(t, a, 504, "timeout")
	if !a.Close || a.Header.Get("X-Request-Id") != "stuck-1" {
		t.Errorf("%v", a.Header)
	}
	for i := range 50 { // reuse whatever can be reused
		if a := r.do("GET", fmt.Sprintf("/ok/%d", i), nil); string(a.body) != fmt.Sprint(i) {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
	close(release)
	if got := <-ended; got != "mine /stuck/mine" {
		t.Errorf("the handler's context was recycled: %q", got)
	}
	eventually(t, "the access log", func() bool {
		found := r.log.with(`"http.route":"/stuck/:id"`)
		return len(found) == 1 && found[0]["http.response.status_code"] == float64(504)
	})
	if len(r.log.with("does not heed its deadline")) != 1 {
		t.Error("the log does not blame the handler")
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	r := start(t, Options{}, probeRoutes)
	c := r.dial()
	var all strings.Builder
	for i := range 50 {
		fmt.Fprintf(&all, "GET /v1/things/%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	_, _ = io.WriteString(c, all.String())
	br := bufio.NewReader(c)
	for i := range 50 {
		if a := r.read(br, "GET"); string(a.body) != fmt.Sprint(i) {
			t.Fatalf("answer %d: %d %s", i, a.StatusCode, a.body)
		}
	}
}
