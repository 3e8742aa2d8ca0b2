package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
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

func scrape(reg *metrics.Registry) string {
	w := httptest.NewRecorder()
	reg.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
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

func TestStringsAndDecodedBodiesSurviveTheRequest(t *testing.T) {
	type body struct {
		Text string         `json:"text"`
		Any  map[string]any `json:"any"`
	}
	type kept struct {
		want, id, query, header, path, method, param string
		body                                         body
	}
	var (
		mu  sync.Mutex
		all []kept
	)
	r := start(t, Options{}, func(app *fiber.App) {
		app.Post("/v1/:id", func(c *fiber.Ctx) error {
			q := Query(c)
			param, _ := Param(c, "id")
			k := kept{want: strings.Clone(c.Params("id")), id: c.Params("id"), query: q.String("q", ""), header: c.Get("X-Own"), path: c.Path(), method: c.Method(), param: param}
			if err := JSON(c, &k.body); err != nil {
				return err
			}
			mu.Lock()
			all = append(all, k)
			mu.Unlock()
			return q.Err()
		})
	})
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			client := r.client()
			for i := range 50 {
				id := fmt.Sprintf("id-%d-%d", w, i)
				req, _ := http.NewRequest("POST", r.url("/v1/"+id+"?q="+id), strings.NewReader(`{"text":"`+id+`","any":{"`+id+`":["`+id+`"]}}`))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("X-Own", id)
				resp, err := client.Do(req)
				if err != nil || resp.StatusCode != 200 {
					t.Error(err, resp)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	workers.Wait()
	if len(all) != 200 {
		t.Fatalf("%d requests", len(all))
	}
	for _, k := range all {
		if k.id != k.want || k.query != k.want || k.header != k.want || k.path != "/v1/"+k.want || k.method != "POST" || k.param != k.want ||
			k.body.Text != k.want || fmt.Sprint(k.body.Any) != fmt.Sprintf("map[%s:[%s]]", k.want, k.want) {
			t.Fatalf("changed after the request: %+v", k)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/", func(c *fiber.Ctx) error { return c.SendString(RequestID(c)) })
	})
	for _, sane := range []string{"abc", "01a2092e-9fb5-7940-b62f-5c479eeba52f", "Root=1-67891233-abcdef012345678912345678", strings.Repeat("a", 128)} {
		if a := r.do("GET", "/", nil, "X-Request-Id: "+sane); string(a.body) != sane || a.Header.Get("X-Request-Id") != sane {
			t.Errorf("%q became %q, %q", sane, a.body, a.Header.Get("X-Request-Id"))
		}
	}
	for _, bad := range []string{"", "a b", `a"b`, "a{b", "<script>", "ä", strings.Repeat("a", 129), "a\tb", "${jndi:ldap://x}"} {
		a := r.raw("GET / HTTP/1.1\nHost: x\nX-Request-Id: " + bad + "\n\n")
		if got := string(a.body); got == bad || len(got) != 36 || got[14] != '7' {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestTracesAreContinued(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/", func(c *fiber.Ctx) error { return c.SendString(Trace(c).Traceparent() + " " + Trace(c).State) })
	})
	const id, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	a := r.do("GET", "/", nil, "Traceparent: 00-"+id+"-"+span+"-01", "Tracestate: a=1,b=2")
	if got := string(a.body); !strings.HasPrefix(got, "00-"+id+"-") || strings.Contains(got, span) || !strings.HasSuffix(got, "-01 a=1,b=2") {
		t.Errorf("continued as %q", got)
	}
	for _, headers := range [][]string{
		{"Traceparent: 00-" + id + "-" + span},
		{"Traceparent: 00-" + id + "-" + span + "-01", "Traceparent: 00-" + id + "-" + span + "-01"},
		{"Traceparent: ff-" + id + "-" + span + "-01"},
	} {
		if a := r.do("GET", "/", nil, headers...); strings.Contains(string(a.body), id) || len(a.body) != 56 {
			t.Errorf("%q: %q, want a new trace", headers, a.body)
		}
	}
}

func TestForwardedHeadersCountOnlyIfTrusted(t *testing.T) {
	routes := func(app *fiber.App) {
		app.Get("/", func(c *fiber.Ctx) error {
			return c.SendString(ClientIP(c).String() + " " + Scheme(c) + " " + c.IP() + " " + c.Protocol() + " " + c.Hostname())
		})
	}
	headers := []string{
		"X-Forwarded-For: 6.6.6.6, 2001:db8::7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Real-Ip: 6.6.6.6",
	}
	edge := start(t, Options{}, routes)
	if a := edge.do("GET", "/", nil, headers...); string(a.body) != "127.0.0.1 http 127.0.0.1 http "+edge.addr {
		t.Errorf("at the edge: %s", a.body)
	}
	inner := start(t, Options{TrustForwarded: true}, routes)
	if a := inner.do("GET", "/", nil, headers...); !strings.HasPrefix(string(a.body), "2001:db8::7 https ") {
		t.Errorf("behind the gateway: %s", a.body)
	}
	for _, bad := range []string{"", "6.6.6.6, unknown", "fe80::1%eth0", "6.6.6.6:80", strings.Repeat("1,", 1000)} {
		if a := inner.do("GET", "/", nil, "X-Forwarded-For: "+bad); !strings.HasPrefix(string(a.body), "127.0.0.1 ") {
			t.Errorf("%.40q: %s", bad, a.body)
		}
	}
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
