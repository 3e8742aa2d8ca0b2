package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// What the gateway and a server behind or before it could read differently is refused,
// and the connection with it (RFC 9112, sections 5, 6 and 11.2).
func TestAmbiguousRequestsAreRefused(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	var reached atomic.Int64
	startInstance(t, consul, service, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	const smuggled = "GET /v1/things/smuggled HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
	for name, request := range map[string]string{
		"length and chunked":          "POST /v1/things HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunked and length":          "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
		"two lengths":                 "POST /v1/things HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
		"two equal lengths":           "POST /v1/things HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
		"a list of lengths":           "POST /v1/things HTTP/1.1\r\nHost: shop\r\nContent-Length: 0, 0\r\n\r\n",
		"a signed length":             "POST /v1/things HTTP/1.1\r\nHost: shop\r\nContent-Length: +0\r\n\r\n",
		"a negative length":           "POST /v1/things HTTP/1.1\r\nHost: shop\r\nContent-Length: -1\r\n\r\n",
		"a hexadecimal length":        "POST /v1/things HTTP/1.1\r\nHost: shop\r\nContent-Length: 0x0\r\n\r\n",
		"an overflowing length":       "POST /v1/things HTTP/1.1\r\nHost: shop\r\nContent-Length: 18446744073709551616\r\n\r\n",
		"two encodings":               "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"chunked twice":               "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"gzip, chunked":               "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"xchunked":                    "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"identity":                    "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
		"chunked and more":            "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"a vertical tab":              "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"chunked in HTTP/1.0":         "POST /v1/things HTTP/1.0\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"space before the colon":      "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"tab before the colon":        "POST /v1/things HTTP/1.1\r\nHost: shop\r\nContent-Length\t: 0\r\n\r\n",
		"a folded line":               "POST /v1/things HTTP/1.1\r\nHost: shop\r\nX-A: b\r\n Content-Length: 5\r\nContent-Length: 0\r\n\r\n",
		"a folded encoding":           "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"a folded first line":         "GET /v1/things HTTP/1.1\r\n Host: shop\r\n\r\n",
		"a bare LF":                   "POST /v1/things HTTP/1.1\r\nHost: shop\r\nX-A: b\nContent-Length: 0\r\n\r\n",
		"a bare CR":                   "POST /v1/things HTTP/1.1\r\nHost: shop\r\nX-A: b\rContent-Length: 0\r\n\r\n",
		"a space in a name":           "GET /v1/things HTTP/1.1\r\nHost: shop\r\nX A: b\r\n\r\n",
		"an empty name":               "GET /v1/things HTTP/1.1\r\nHost: shop\r\n: b\r\n\r\n",
		"no colon":                    "GET /v1/things HTTP/1.1\r\nHost: shop\r\nXA\r\n\r\n",
		"a control character":         "GET /v1/things HTTP/1.1\r\nHost: shop\r\nX-A: a\x00b\r\n\r\n",
		"two hosts":                   "GET /v1/things HTTP/1.1\r\nHost: shop\r\nHost: other\r\n\r\n",
		"two equal hosts":             "GET /v1/things HTTP/1.1\r\nHost: shop\r\nHost: shop\r\n\r\n",
		"no host":                     "GET /v1/things HTTP/1.1\r\n\r\n",
		"a host with a path":          "GET /v1/things HTTP/1.1\r\nHost: shop/x\r\n\r\n",
		"a host with a user":          "GET /v1/things HTTP/1.1\r\nHost: a@shop\r\n\r\n",
		"a host with a space":         "GET /v1/things HTTP/1.1\r\nHost: shop evil\r\n\r\n",
		"a bad chunk size":            "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
		"a chunk longer than it says": "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
		"an overflowing chunk size":   "POST /v1/things HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n",
		"GET with a body":             "GET /v1/things HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello",
		"another host in the target":  "GET http://other/v1/things HTTP/1.1\r\nHost: shop\r\n\r\n",
		"a fragment":                  "GET /v1/things#x HTTP/1.1\r\nHost: shop\r\n\r\n",
		"an authority as the target":  "GET shop:80 HTTP/1.1\r\nHost: shop\r\n\r\n",
		"no slash":                    "GET v1/things HTTP/1.1\r\nHost: shop\r\n\r\n",
		"a space in the target":       "GET /v1/things /x HTTP/1.1\r\nHost: shop\r\n\r\n",
		"HTTP/0.9":                    "GET /v1/things\r\n\r\n",
		"HTTP/2 in clear":             "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"a method that no one has":    "BREW /v1/things HTTP/1.1\r\nHost: shop\r\n\r\n",
		"a method in lower case":      "get /v1/things HTTP/1.1\r\nHost: shop\r\n\r\n",
		"CONNECT":                     "CONNECT shop:80 HTTP/1.1\r\nHost: shop\r\n\r\n",
		"TRACE":                       "TRACE /v1/things HTTP/1.1\r\nHost: shop\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := reached.Load()
			got := raw(t, g.addr, request+smuggled)
			status := 0
			if _, err := fmt.Sscanf(got, "HTTP/1.1 %d ", &status); err != nil || status < 400 || status == 404 || !strings.Contains(got, "application/problem+json") {
				t.Fatalf("answered %s", got)
			}
			// Either nothing after it was read as a request, or exactly what follows.
			answers, reached := len(statusLine.FindAllString(got, -1)), reached.Load()-before
			if answers > 2 || reached != int64(answers-1) {
				t.Errorf("%d answers, %d requests reached the service: %s", answers, reached, got)
			}
		})
	}
}

var statusLine = regexp.MustCompile(`HTTP/1\.1 \d{3} `)

func TestAmbiguousPathsAreRefused(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	var reached atomic.Int64
	startInstance(t, consul, service, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached.Add(1); t.Log(r.RequestURI) }))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	for _, path := range []string{
		"/v1/things/..", "/v1/things/../x", "/v1/./things", "/v1/things/.", "/v1/things/%2e%2e", "/v1/things/%2E%2e/x", "/v1/things/.%2e",
		"//v1/things", "/v1//things", "/v1/things//", "/v1/things/a%2fb", "/v1/things/a%2Fb", "/v1/things/a%5cb", "/v1/things/a\\b",
		"/v1/things/%00", "/v1/things/a%0d%0ab", "/v1/things/%7f", "/v1/things/%252e%252e%252fx", "/v1/things/%25", "/v1/things/%", "/v1/things/%2", "/v1/things/%zz",
		"/v1/things/%c0%ae", "/v1/things/%ff", "/v1/things/\xc3\xa9", "/v1/things/a\"b", "/v1/things/<x>", "http://shop/v1/../things", "http://shop//v1/things",
	} {
		got := raw(t, g.addr, "GET "+path+" HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%q: %.40q", path, got)
		}
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("%d requests reached the service", n)
	}
}

func TestOnePathHasOneSpelling(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	for sent, want := range map[string]string{
		"/v1/%74hings":              "/v1/things",
		"/v1/things/%7euser":        "/v1/things/~user",
		"/v1/things/a%3ab%c3%a9":    "/v1/things/a%3Ab%C3%A9",
		"/v1/things/a+b":            "/v1/things/a+b",
		"/v1/things/x?a=%7e/../&b=": "/v1/things/x?a=%7e/../&b=",
		"http://SHOP/v1/things?x":   "/v1/things?x",
		"/v1/things/...":            "/v1/things/...",
	} {
		got := raw(t, g.addr, "GET "+sent+" HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
		if !strings.Contains(got, fmt.Sprintf(`"uri":%q`, strings.ReplaceAll(want, "&", `\u0026`))) && !strings.Contains(got, `"uri":"`+strings.ReplaceAll(want, "&", `\u0026`)+`"`) {
			t.Errorf("%s: want %s in %s", sent, want, got)
		}
	}
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, testConfig(service, Route{Path: "/v1/things", Methods: []string{"GET", "POST"}, BodyLimit: 1000}, Route{Path: "/v1/big", Methods: []string{"POST"}}))
	g.knows(t, service, 1)
	if a := call(t, "POST", g.url+"/v1/things", strings.Repeat("a", 1000)); a.StatusCode != 200 {
		t.Errorf("at the limit: %s", a.Status)
	}
	if p := call(t, "POST", g.url+"/v1/things", strings.Repeat("a", 1001)).problem(t); p.Status != 413 || !strings.Contains(p.Detail, "1000") {
		t.Errorf("above the route's limit: %+v", p)
	}
	if p := call(t, "POST", g.url+"/v1/big", strings.Repeat("a", 1<<20+1)).problem(t); p.Status != 413 {
		t.Errorf("above the listener's limit: %+v", p)
	}
	if p := call(t, "GET", g.url+"/v1/things", "", "X-Big", strings.Repeat("a", 17<<10)).problem(t); p.Status != 431 {
		t.Errorf("header: %+v", p)
	}
	if p := call(t, "GET", g.url+"/v1/things?"+strings.Repeat("a", 10<<10), "").problem(t); p.Status != 414 {
		t.Errorf("target: %+v", p)
	}
}
