package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"souk/internal/discovery"
	"souk/internal/metrics"
	"souk/internal/tokens/tokenstest"
	"souk/internal/web"
)

// benchGateway routes to one instance in this process, without Consul.
func benchGateway(b *testing.B, body string) (*gateway, fasthttp.RequestHandler, *tokenstest.Issuer) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/json")
		ctx.SetBodyString(body)
	}}
	go func() { _ = server.Serve(tls.NewListener(l, testCA().server("bench"))) }()
	b.Cleanup(func() { _ = l.Close() })

	cfg := testConfig("bench", Route{Path: "/v1/things", Methods: []string{"GET"}}, Route{Path: "/v1/things/{id}", Methods: []string{"GET"}},
		Route{Path: "/v1/orders/{id}", Methods: []string{"GET"}, Scopes: []string{"account", "orders"}})
	t, err := buildTable(&cfg)
	if err != nil {
		b.Fatal(err)
	}
	s := &service{name: "bench", tls: testCA().client("bench"), limits: cfg.Upstream, known: map[key]*upstream{}}
	s.change([]discovery.Instance{{ID: "bench-1", Address: l.Addr().String(), Weight: 1}})
	t.bind(map[string]*service{"bench": s})
	registry := metrics.New(serviceName, "bench")
	log := slog.New(slog.DiscardHandler)
	g := &gateway{log: log, balancer: newBalancer(nil, testCA().client, discovery.Options{}, cfg.Upstream, cfg.Streams.Limit, log)}
	issuer := tokenstest.New(b)
	g.tokens = issuer.Verifier()
	g.metrics = newMetrics(registry, g.balancer)
	g.table.Store(t)
	g.config.Store(&cfg)
	opts := cfg.web()
	opts.Service, opts.Log, opts.Metrics = serviceName, log, registry
	w := web.New(opts)
	g.routes(w.App())
	w.App().Handler() // builds the routes
	return g, w.App().Server().Handler, issuer
}

// What the gateway adds to a read: everything but the client's socket. The instance runs in
// the same process, so its work is in the figures too.
func BenchmarkAProxiedRead(b *testing.B) {
	_, handle, _ := benchGateway(b, strings.Repeat("x", 1024))
	benchReads(b, handle, "GET /v1/things/0190f1c2-7b7e-7cc0-9d5f-3f2f7e1b9a10?fields=all HTTP/1.1\r\n")
}

// The same with a token that is known, and the scope that the route wants.
func BenchmarkAProxiedReadWithAToken(b *testing.B) {
	_, handle, issuer := benchGateway(b, strings.Repeat("x", 1024))
	benchReads(b, handle, "GET /v1/orders/0190f1c2-7b7e-7cc0-9d5f-3f2f7e1b9a10?fields=all HTTP/1.1\r\nAuthorization: Bearer "+issuer.User()+"\r\n")
}

func benchReads(b *testing.B, handle fasthttp.RequestHandler, head string) {
	b.Helper()
	raw := head + "Host: shop.example\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\nX-Custom: 1\r\n\r\n"
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var ctx fasthttp.RequestCtx
		var req fasthttp.Request
		br, sr := bufio.NewReader(nil), strings.NewReader("")
		for pb.Next() {
			sr.Reset(raw)
			br.Reset(sr)
			if err := req.Read(br); err != nil {
				b.Fatal(err)
			}
			ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, nil)
			handle(&ctx)
			if ctx.Response.StatusCode() != 200 {
				b.Fatalf("%d %s", ctx.Response.StatusCode(), ctx.Response.Body())
			}
			ctx.Response.Reset()
		}
	})
}

// The same call without a gateway, to compare.
func BenchmarkADirectRead(b *testing.B) {
	g, _, _ := benchGateway(b, strings.Repeat("x", 1024))
	u := (*g.table.Load().find([]byte("/v1/things")).routes["GET"].backend.list.Load())[0]
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var req fasthttp.Request
		var resp fasthttp.Response
		req.SetRequestURI("https://bench.souk.internal/v1/things")
		for pb.Next() {
			if err := u.call(&req, &resp, time.Now().Add(time.Second)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkALookup(b *testing.B) {
	c := Defaults()
	for i := range 60 {
		c.Routes = append(c.Routes, Route{Path: fmt.Sprintf("/v1/kind%d/{id}/part", i), Methods: []string{"GET"}, Service: "s", Public: true})
	}
	t, err := buildTable(&c)
	if err != nil {
		b.Fatal(err)
	}
	path := []byte("/v1/kind42/0190f1c2-7b7e-7cc0-9d5f-3f2f7e1b9a10/part")
	b.ReportAllocs()
	for b.Loop() {
		if t.find(normalise(nil, path)) == nil {
			b.Fatal("not found")
		}
	}
}
