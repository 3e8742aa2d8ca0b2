package web

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
)

func probeRoutes(app *fiber.App) {
	app.Get("/v1/things/:id", func(c *fiber.Ctx) error { return c.SendString(c.Params("id")) })
	app.Post("/v1/things", func(c *fiber.Ctx) error {
		var v struct {
			A int `json:"a"`
		}
		if err := JSON(c, &v); err != nil {
			return err
		}
		return Send(c, http.StatusOK, v)
	})
}

func TestMalformedAndAmbiguousRequestsAreRefusedAndTheConnectionEnds(t *testing.T) {
	r := start(t, Options{}, probeRoutes)
	const (
		get  = "GET /v1/things/1 HTTP/1.1\nHost: x\n"
		post = "POST /v1/things HTTP/1.1\nHost: x\nContent-Type: application/json\n"
		body = "7\n{\"a\":1}\n0\n"
	)
	for _, c := range []struct {
		name, text string
		status     int
		code       string
	}{
		{"no host", "GET / HTTP/1.1\n\n", 400, "bad-request"},
		{"two hosts", get + "Host: y\n\n", 400, "bad-request"},
		{"host with a path", "GET / HTTP/1.1\nHost: a/b\n\n", 400, "bad-request"},
		{"host with markup", "GET / HTTP/1.1\nHost: <script>\n\n", 400, "bad-host"},
		{"host with a user", "GET / HTTP/1.1\nHost: a@b\n\n", 400, "bad-host"},
		{"host of 1 kB", "GET / HTTP/1.1\nHost: " + strings.Repeat("a", 1000) + "\n\n", 400, "bad-host"},
		{"HTTP/2 preface", "PRI * HTTP/2.0\n\nSM\n\n", 505, "http-version-not-supported"},
		{"HTTP/1.2", "GET / HTTP/1.2\nHost: x\n\n", 505, "http-version-not-supported"},
		{"no version", "GET /\n\n", 400, "bad-request"},
		{"bad method", "G(T / HTTP/1.1\nHost: x\n\n", 501, "method-not-implemented"},
		{"length and chunked", post + "Content-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n", 400, "bad-framing"},
		{"chunked and length", post + "Transfer-Encoding: chunked\nContent-Length: 3\n\n0\n\n", 400, "bad-framing"},
		{"length twice", post + "Content-Length: 3\nContent-Length: 3\n\nabc", 400, "bad-request"},
		{"two lengths", post + "Content-Length: 3\nContent-Length: 4\n\nabc", 400, "bad-request"},
		{"list of lengths", post + "Content-Length: 3, 3\n\nabc", 400, "bad-request"},
		{"negative length", post + "Content-Length: -3\n\nabc", 400, "bad-request"},
		{"signed length", post + "Content-Length: +3\n\nabc", 400, "bad-request"},
		{"length beyond 64 bits", post + "Content-Length: 99999999999999999999\n\nabc", 400, "bad-request"},
		{"chunked twice", post + "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n", 501, "transfer-encoding-not-implemented"},
		{"xchunked", post + "Transfer-Encoding: xchunked\n\n0\n\n", 501, "transfer-encoding-not-implemented"},
		{"gzip, chunked", post + "Transfer-Encoding: gzip, chunked\n\n0\n\n", 501, "transfer-encoding-not-implemented"},
		{"identity", post + "Transfer-Encoding: identity\nContent-Length: 3\n\nabc", 400, "bad-framing"},
		{"chunked behind a control character", post + "Transfer-Encoding:\x0bchunked\n\n0\n\n", 400, "bad-request"},
		{"chunked in HTTP/1.0", "POST / HTTP/1.0\nHost: x\nTransfer-Encoding: chunked\n\n0\n\n", 501, "transfer-encoding-not-implemented"},
		{"space before the colon", post + "Content-Length : 3\n\nabc", 400, "bad-request"},
		{"space in a name", get + "X A: b\n\n", 400, "bad-header"},
		{"folded line", get + "X-A: b\n c\n\n", 400, "bad-header"},
		{"leading space", "GET / HTTP/1.1\n Host: x\n\n", 400, "bad-request"},
		{"no colon", get + "abc\n\n", 400, "bad-request"},
		{"name with a bracket", get + "X[A]: b\n\n", 400, "bad-request"},
		{"name with a non-ASCII letter", get + "X-\u00e4: b\n\n", 400, "bad-request"},
		{"empty name", get + ": b\n\n", 400, "bad-request"},
		{"NUL in a value", get + "X-A: a\x00b\n\n", 400, "bad-request"},
		{"bare CR in a value", get + "X-A: a\rX-B: b\n\n", 400, "bad-request"},
		{"chunk size is no number", post + "Transfer-Encoding: chunked\n\nzz\n\n", 400, "bad-request"},
		{"chunk size beyond 64 bits", post + "Transfer-Encoding: chunked\n\nFFFFFFFFFFFFFFFFF\n\n", 400, "bad-request"},
		{"negative chunk size", post + "Transfer-Encoding: chunked\n\n-1\n\n", 400, "bad-request"},
		{"trailer", post + "Transfer-Encoding: chunked\n\n" + body + "X-User-Id: root\n\n", 400, "trailer-not-accepted"},
		{"announced trailer", post + "Trailer: X-User-Id\nTransfer-Encoding: chunked\n\n" + body + "X-User-Id: root\n\n", 400, "trailer-not-accepted"},
		{"forged address in a trailer", post + "Transfer-Encoding: chunked\n\n" + body + "X-Forwarded-For: 1.2.3.4\n\n", 400, "bad-request"},
		{"length in a trailer", post + "Transfer-Encoding: chunked\n\n" + body + "Content-Length: 5\n\n", 400, "bad-request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := *r
			rt.t = t
			a := rt.raw(c.text)
			wantProblem(t, a, c.status, c.code)
			if !a.Close {
				t.Error("the connection was left open")
			}
		})
	}
}

func TestBareLineFeedsDoNotHideASecondRequest(t *testing.T) {
	r := start(t, Options{}, probeRoutes)
	c := r.dial()
	if _, err := io.WriteString(c, "GET /v1/things/1 HTTP/1.1\r\nHost: x\n\nGET /v1/things/2 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	a := r.read(br, "GET")
	wantProblem(t, a, 400, "bad-header")
	if rest, _ := io.ReadAll(br); len(rest) > 0 {
		t.Errorf("a second answer: %q", rest)
	}
}

func TestWellFormedRaritiesAreServed(t *testing.T) {
	r := start(t, Options{}, probeRoutes)
	for name, text := range map[string]string{
		"IPv6 host":              "GET /v1/things/1 HTTP/1.1\nHost: [::1]:8080\n\n",
		"absolute form":          "GET http://other/v1/things/1 HTTP/1.1\nHost: x\n\n",
		"HTTP/1.0":               "GET /v1/things/1 HTTP/1.0\n\n",
		"empty line first":       "\nGET /v1/things/1 HTTP/1.1\nHost: x\n\n",
		"chunk extension":        "POST /v1/things HTTP/1.1\nHost: x\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n7;a=b\n{\"a\":1}\n0\n\n",
		"tab before chunked":     "POST /v1/things HTTP/1.1\nHost: x\nContent-Type: application/json\nTransfer-Encoding:\tChunked\n\n7\n{\"a\":1}\n0\n\n",
		"chunked, cookies":       "POST /v1/things HTTP/1.1\nHost: x\nContent-Type: application/json\nUser-Agent: u\nCookie: a=b; c=d\nCookie: e=f\nX-A: 1\nX-A: 2\nConnection: close\nTransfer-Encoding: chunked\n\n7\n{\"a\":1}\n0\n\n",
		"media type with params": "POST /v1/things HTTP/1.1\nHost: x\nContent-Type: Application/JSON; charset=\"UTF-8\"\nContent-Length: 7\n\n{\"a\":1}",
	} {
		t.Run(name, func(t *testing.T) {
			rt := *r
			rt.t = t
			if a := rt.raw(text); a.StatusCode != 200 {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
}

func TestExpectContinueIsAnsweredAndATooLongBodyStillRefused(t *testing.T) {
	r := start(t, Options{BodyLimit: 10}, probeRoutes)
	for length, want := range map[int]int{7: 200, 70: 413} {
		c := r.dial()
		fmt.Fprintf(c, "POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", length)
		br := bufio.NewReader(c)
		if a := r.read(br, "POST"); a.StatusCode != 100 {
			t.Fatalf("status %d before the body", a.StatusCode)
		}
		_, _ = io.WriteString(c, `{"a":1}`)
		if a := r.read(br, "POST"); a.StatusCode != want {
			t.Errorf("length %d: status %d, want %d", length, a.StatusCode, want)
		}
	}
}

func TestPathsThatServersReadDifferentlyAreRefused(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		probeRoutes(app)
		app.Get("/files/*", func(c *fiber.Ctx) error { return c.SendString(c.Params("*")) })
	})
	for _, path := range []string{
		"//v1/things/1", "/v1//things/1", "/v1/things//", "/v1/things/..%2f1", "/v1/things/..%2F1", "/v1/things/%2e%2e/y",
		"/v1/../v1/things/1", "/v1/./things/1", "/v1/things/..", "/v1/things/.%2e", "/v1/things/%00", "/v1/things/a%00b", "/v1/things/%0d%0aX:y",
		"/v1/things/%7f", "/v1/things/%", "/v1/things/%4", "/v1/things/%zz", "/v1/things/%252e", "/v1/things/a%5cb", "/v1/things/a\\b",
		"/v1/things/\xc3\xa4", "/v1/things/%ff", "/v1/things/%c3", "/v1/things/%ed%a0%80", "/v1/things/<a>", "/v1/things/a|b", "/v1/things/1#f",
		"/files/../secret", "/files/a//b", "/files/%2e%2e%2fsecret",
	} {
		a := r.raw("GET " + path + " HTTP/1.1\nHost: x\n\n")
		p := wantProblem(t, a, 400, "bad-path")
		for i := range len(p.Instance) {
			if c := p.Instance[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '<' {
				t.Errorf("instance %q is no URI reference", p.Instance)
			}
		}
	}
	for path, want := range map[string]string{
		"/v1/things/%c3%a4": "%c3%a4", "/v1/things/a+b": "a+b", "/v1/things/a%20b": "a%20b", "/v1/things/a;b=c": "a;b=c",
		"/v1/things/...": "...", "/v1/things/@~$&'()*,:!": "@~$&'()*,:!", "/files/a/b/": "a/b/",
	} {
		if a := r.raw("GET " + path + " HTTP/1.1\nHost: x\n\n"); a.StatusCode != 200 || string(a.body) != want {
			t.Errorf("%s: %d %q, want 200 %q", path, a.StatusCode, a.body, want)
		}
	}
}

func TestPathParametersAreDecodedOnce(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/v1/things/:id", func(c *fiber.Ctx) error {
			id, err := Param(c, "id")
			if err != nil {
				return err
			}
			return c.SendString(id)
		})
	})
	for path, want := range map[string]string{"/v1/things/%c3%a4": "ä", "/v1/things/a+b": "a+b", "/v1/things/a%20b": "a b", "/v1/things/%E2%82%AC": "€"} {
		if a := r.do("GET", path, nil); string(a.body) != want {
			t.Errorf("%s: %q, want %q", path, a.body, want)
		}
	}
}

func TestMethods(t *testing.T) {
	r := start(t, Options{}, probeRoutes)
	t.Run("HEAD has GET's headers and no body", func(t *testing.T) {
		get, head := r.do("GET", "/v1/things/abc", nil), r.do("HEAD", "/v1/things/abc", nil)
		if head.StatusCode != 200 || len(head.body) != 0 || head.Header.Get("Content-Length") != get.Header.Get("Content-Length") {
			t.Errorf("HEAD: %d, %d bytes, Content-Length %q", head.StatusCode, len(head.body), head.Header.Get("Content-Length"))
		}
	})
	t.Run("HEAD of nothing has a problem's headers and no body", func(t *testing.T) {
		a := r.do("HEAD", "/nothing", nil)
		if a.StatusCode != 404 || a.Header.Get("Content-Type") != ProblemType || len(a.body) != 0 {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	})
	t.Run("a method without a route is 405 with Allow", func(t *testing.T) {
		a := r.do("DELETE", "/v1/things/1", nil)
		wantProblem(t, a, 405, "method-not-allowed")
		if got := a.Header.Get("Allow"); got != "GET, HEAD, OPTIONS" {
			t.Errorf("Allow: %q", got)
		}
	})
	t.Run("OPTIONS tells the methods", func(t *testing.T) {
		a := r.do("OPTIONS", "/v1/things", nil)
		if a.StatusCode != 204 || a.Header.Get("Allow") != "POST, OPTIONS" {
			t.Errorf("%d, Allow %q", a.StatusCode, a.Header.Get("Allow"))
		}
		wantProblem(t, r.do("OPTIONS", "/nothing", nil), 404, "not-found")
	})
	t.Run("OPTIONS * is a ping", func(t *testing.T) {
		rt := *r
		rt.t = t
		if a := rt.raw("OPTIONS * HTTP/1.1\nHost: x\n\n"); a.StatusCode != 204 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	for _, method := range []string{"TRACE", "CONNECT", "PROPFIND", "get", "BREW", strings.Repeat("X", 5000)} {
		t.Run(fmt.Sprintf("%.20s is not implemented", method), func(t *testing.T) {
			rt := *r
			rt.t = t
			wantProblem(t, rt.raw(method+" /v1/things/1 HTTP/1.1\nHost: x\n\n"), 501, "method-not-implemented")
		})
	}
}

func TestNoTextOfFiberOrFasthttpReachesAClient(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/teapot", func(*fiber.Ctx) error { return fiber.NewError(418, "s3cret-detail") })
		app.Get("/gone", func(*fiber.Ctx) error { return fiber.NewError(410, "s3cret-detail") })
		app.Get("/odd", func(*fiber.Ctx) error { return fiber.NewError(299, "s3cret-detail") })
		app.Get("/plain", func(*fiber.Ctx) error { return fmt.Errorf("s3cret-detail: %w", io.ErrUnexpectedEOF) })
	})
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"/nothing<script>": {400, "bad-path"}, "/nothing": {404, "not-found"}, "/teapot": {418, "im-a-teapot"},
		"/gone": {410, "gone"}, "/odd": {500, "internal"}, "/plain": {500, "internal"},
	} {
		a := r.raw("GET " + path + " HTTP/1.1\nHost: x\n\n")
		wantProblem(t, a, want.status, want.code)
		if strings.Contains(string(a.body), "s3cret") || strings.Contains(string(a.body), "Cannot GET") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}
