package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// echo answers with what it got.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Instance", name)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"method": r.Method, "uri": r.RequestURI, "host": r.Host, "header": r.Header, "body": string(body), "instance": name,
			"length": r.ContentLength, "chunked": len(r.TransferEncoding) > 0, "peer": r.TLS.PeerCertificates[0].DNSNames[0],
		})
	})
}

type echoed struct {
	Method, URI, Host, Body, Instance, Peer string
	Header                                  http.Header
	Length                                  int
	Chunked                                 bool
}

func (a answer) echoed(t testing.TB) echoed {
	t.Helper()
	var e echoed
	if err := json.Unmarshal([]byte(a.text), &e); err != nil {
		t.Fatalf("%s: %q: %v", a.Status, a.text, err)
	}
	return e
}

// problem is the body of a refusal.
type problem struct {
	Status    int
	Code      string
	Detail    string
	RequestID string `json:"request_id"`
}

func (a answer) problem(t testing.TB) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.text), &p); err != nil || a.Header.Get("Content-Type") != "application/problem+json" || p.Status != a.StatusCode {
		t.Fatalf("%s is no problem: %q (%s), %v", a.Status, a.text, a.Header.Get("Content-Type"), err)
	}
	return p
}

func TestARequestReachesItsServiceAsItWas(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		a := call(t, method, g.url+"/v1/things/a%20b;x=1?q=%2F..&q=2&empty=", `{"a":1}`, "Content-Type", "application/json", "If-Match", `"3"`, "Accept", "a/b", "Accept", "c/d")
		e := a.echoed(t)
		if a.StatusCode != 200 || e.Method != method || e.URI != "/v1/things/a%20b;x=1?q=%2F..&q=2&empty=" || e.Body != `{"a":1}` || e.Length != 7 || e.Chunked {
			t.Errorf("%s: %+v", method, e)
		}
		if e.Host != service+".souk.internal" || e.Peer != "gateway.souk.internal" {
			t.Errorf("host %s, peer %s", e.Host, e.Peer)
		}
		if e.Header.Get("If-Match") != `"3"` || e.Header.Get("Content-Type") != "application/json" || fmt.Sprint(e.Header["Accept"]) != "[a/b c/d]" {
			t.Errorf("header %v", e.Header)
		}
		if a.Header.Get("X-Instance") != "one" {
			t.Errorf("answer's header %v", a.Header)
		}
	}
	a := call(t, "GET", g.url+"/v1/things", "")
	if e := a.echoed(t); e.Method != "GET" || e.URI != "/v1/things" || e.Body != "" || len(e.Header["Content-Type"]) != 0 || len(e.Header["Content-Length"]) != 0 {
		t.Errorf("%+v", e)
	}
}

func TestAChunkedBodyArrivesWhole(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	const head = "POST /v1/things HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\n"
	got := raw(t, g.addr, head+"\r\n")
	if !strings.Contains(got, `"body":"hello world"`) || !strings.Contains(got, `"length":11`) {
		t.Errorf("got %s", got)
	}
	// A trailer must not pass for a header.
	got = raw(t, g.addr, head+"X-Souk-User: root\r\nX-Late: 1\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("with a trailer: %s", got)
	}
}

func TestExpectContinueIsAnsweredHere(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	got := raw(t, g.addr, "POST /v1/things HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
	if !strings.HasPrefix(got, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n") || !strings.Contains(got, `"body":"hello"`) || strings.Contains(got, "Expect") {
		t.Errorf("got %s", got)
	}
}

func TestOnlyTheGatewaySaysWhoTheClientIs(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	spoofed := []string{
		"X-Forwarded-For", "1.2.3.4", "X-Forwarded-Host", "evil", "X-Forwarded-Proto", "https", "X-Forwarded-User", "root", "Forwarded", "for=1.2.3.4",
		"X-Real-IP", "1.2.3.4", "X-Souk-Principal", "admin", "x_souk_principal", "admin", "X_Forwarded_For", "1.2.3.4", "True-Client-IP", "1.2.3.4",
		"X-Original-URL", "/admin", "X-HTTP-Method-Override", "DELETE", "Via", "1.1 x", "Keep-Alive", "timeout=5", "TE", "trailers", "Proxy-Authorization", "Basic x",
		"Upgrade", "websocket", "Connection", "keep-alive, X-Secret,Upgrade", "X-Secret", "1", "Connection", "x-other", "X-Other", "2", "X-Kept", "3", "Proxy-Connection", "close",
	}
	e := call(t, "GET", g.url+"/v1/things", "", append(spoofed, "Host", "shop.example:8080")...).echoed(t)
	want := map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "shop.example:8080", "X-Forwarded-Proto": "http", "Via": "1.1 souk-gateway", "X-Kept": "3",
	}
	for name, value := range want {
		if fmt.Sprint(e.Header[name]) != "["+value+"]" {
			t.Errorf("%s is %q, want %q", name, e.Header[name], value)
		}
	}
	for i := 0; i < len(spoofed); i += 2 {
		name := http.CanonicalHeaderKey(spoofed[i])
		if got, there := e.Header[name]; there && want[name] == "" {
			t.Errorf("%s: %q came through", name, got)
		}
	}
}

func TestARequestNamedByConnectionCannotLoseTheGatewaysOwnFields(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	got := raw(t, g.addr, "POST /v1/things HTTP/1.1\r\nHost: shop\r\nX: y\r\nConnection: X-Forwarded-For, Content-Length, Host, traceparent, X-Request-Id\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
	for _, part := range []string{`"X-Forwarded-For":["127.0.0.1"]`, `"body":"hello"`, `"Traceparent":[`, `"X-Request-Id":[`} {
		if !strings.Contains(got, part) {
			t.Errorf("%s is not in %s", part, got)
		}
	}
}

func TestTraceAndRequestIDPassThrough(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	a := call(t, "GET", g.url+"/v1/things", "", "X-Request-Id", "abc-1", "Traceparent", "00-"+trace+"-b7ad6b7169203331-01", "Tracestate", "a=1")
	e := a.echoed(t)
	parent := e.Header.Get("Traceparent")
	if e.Header.Get("X-Request-Id") != "abc-1" || a.Header.Get("X-Request-Id") != "abc-1" || len(a.Header["X-Request-Id"]) != 1 {
		t.Errorf("request id: %q there, %q back", e.Header["X-Request-Id"], a.Header["X-Request-Id"])
	}
	if !strings.HasPrefix(parent, "00-"+trace+"-") || strings.Contains(parent, "b7ad6b7169203331") || e.Header.Get("Tracestate") != "a=1" {
		t.Errorf("traceparent %q, tracestate %q", parent, e.Header.Get("Tracestate"))
	}
	e = call(t, "GET", g.url+"/v1/things", "", "X-Request-Id", "a b\"", "Traceparent", "00-"+trace+"-x-01").echoed(t)
	if id := e.Header.Get("X-Request-Id"); id == "" || id == "a b\"" || len(e.Header["Traceparent"]) != 1 || strings.Contains(e.Header.Get("Traceparent"), trace) {
		t.Errorf("bad ones: %v", e.Header)
	}
}

func TestAnswersPassThroughUnchanged(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	big := strings.Repeat("0123456789", 100_000)
	startInstance(t, consul, service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		switch r.URL.Query().Get("do") {
		case "problem":
			h.Set("Content-Type", "application/problem+json")
			h.Set("Retry-After", "7")
			h.Set("Cache-Control", "private")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"code":"mine"}`)
		case "empty":
			h.Set("ETag", `"4"`)
			w.WriteHeader(http.StatusNoContent)
		case "unchanged":
			h.Set("ETag", `"4"`)
			h.Set("Cache-Control", "no-cache")
			w.WriteHeader(http.StatusNotModified)
		case "created":
			h.Set("Location", "/v1/things/1")
			h.Add("Set-Cookie", "a=1; HttpOnly")
			h.Add("Set-Cookie", "b=2; Secure")
			h.Add("Link", "</1>; rel=next")
			h.Add("Link", "</0>; rel=prev")
			h.Add("Vary", "Accept")
			h.Set("Connection", "X-Mine")
			h.Set("X-Mine", "hop")
			h.Set("Server", "secret/1.0")
			h.Set("X-Souk-Internal", "1")
			h.Set("Access-Control-Allow-Origin", "*")
			w.WriteHeader(http.StatusCreated)
		case "big":
			h.Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, big) // chunked
		case "untyped":
			h["Content-Type"] = nil
			_, _ = io.WriteString(w, "x")
		case "hints":
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "after hints")
		}
	}))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	get := func(method, do string) answer { t.Helper(); return call(t, method, g.url+"/v1/things?do="+do, "") }

	a := get("GET", "problem")
	if a.StatusCode != 503 || a.text != `{"code":"mine"}` || a.Header.Get("Retry-After") != "7" || a.Header.Get("Cache-Control") != "private" || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("problem: %s %q %v", a.Status, a.text, a.Header)
	}
	a = get("GET", "empty")
	if a.StatusCode != 204 || a.text != "" || a.Header.Get("ETag") != `"4"` || a.Header.Get("Content-Length") != "" || a.Header.Get("Content-Type") != "" {
		t.Errorf("204: %s %v", a.Status, a.Header)
	}
	a = get("GET", "unchanged")
	if a.StatusCode != 304 || a.text != "" || a.Header.Get("ETag") != `"4"` || a.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("304: %s %v", a.Status, a.Header)
	}
	a = get("POST", "created")
	if a.StatusCode != 201 || a.Header.Get("Location") != "/v1/things/1" || len(a.Header["Set-Cookie"]) != 2 || len(a.Header["Link"]) != 2 || a.Header.Get("Vary") != "Accept" {
		t.Errorf("201: %s %v", a.Status, a.Header)
	}
	for _, name := range []string{"X-Mine", "Server", "X-Souk-Internal", "Access-Control-Allow-Origin"} {
		if a.Header.Get(name) != "" {
			t.Errorf("%s: %s came through", name, a.Header.Get(name))
		}
	}
	a = get("GET", "big")
	if a.text != big || a.ContentLength != int64(len(big)) {
		t.Errorf("big: %d bytes, Content-Length %d", len(a.text), a.ContentLength)
	}
	a = get("GET", "untyped")
	if a.text != "x" || a.Header.Get("Content-Type") != "" {
		t.Errorf("untyped: %q %v", a.text, a.Header)
	}
	if a = get("GET", "hints"); a.text != "after hints" {
		t.Errorf("103: %s %q", a.Status, a.text)
	}
}

func TestHEADHasTheLengthAndNoBody(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Method", r.Method)
		w.Header().Set("Content-Length", "12")
		if r.Method == "GET" {
			_, _ = io.WriteString(w, "hello, world")
		}
	}))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	got := raw(t, g.addr, "HEAD /v1/things HTTP/1.1\r\nHost: shop\r\n\r\nGET /v1/things HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
	head, rest, _ := strings.Cut(got, "\r\n\r\n")
	if !strings.Contains(head, "Content-Length: 12") || !strings.Contains(head, "X-Method: HEAD") || !strings.HasPrefix(rest, "HTTP/1.1 200 OK") || !strings.HasSuffix(rest, "hello, world") {
		t.Errorf("got %q", got)
	}
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/things/", "/v1/things/1/2", "/V1/things", "/openapi/x.yaml", "/docs/x"} {
		a := call(t, "POST", g.url+path, "")
		if path == "/" {
			if a.StatusCode != 405 {
				t.Errorf("POST %s: %s", path, a.Status)
			}
			continue
		}
		if a.StatusCode == 405 && strings.HasPrefix(path, "/docs/") {
			continue
		}
		if p := a.problem(t); p.Status != 404 || p.Code != "not-found" {
			t.Errorf("%s: %+v", path, p)
		}
	}
	a := call(t, "DELETE", g.url+"/v1/things", "")
	if a.problem(t).Status != 405 || a.Header.Get("Allow") != "GET, HEAD, POST, OPTIONS" {
		t.Errorf("%s, Allow: %s", a.Status, a.Header.Get("Allow"))
	}
	a = call(t, "OPTIONS", g.url+"/v1/things", "")
	if a.StatusCode != 204 || a.Header.Get("Allow") != "GET, HEAD, POST, OPTIONS" {
		t.Errorf("OPTIONS: %s, Allow: %s", a.Status, a.Header.Get("Allow"))
	}
}
