package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"souk/internal/discovery"
	"souk/internal/metrics"
	"souk/internal/testenv"
	"souk/internal/tokens/tokenstest"
	"souk/internal/web"
)

// authority is a throwaway CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

var testCA = sync.OnceValue(func() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	a.pool.AddCert(a.cert)
	return a
})

// certificate names one service, as Vault's do.
func (a *authority) certificate(service string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{service + ".souk.internal"}, NotAfter: time.Now().Add(time.Hour),
		URIs:        []*url.URL{{Scheme: "spiffe", Host: "souk", Path: "/" + service}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) server(service string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{a.certificate(service)}, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert}
}

func (a *authority) client(service string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{a.certificate(serviceName)}, RootCAs: a.pool, ServerName: service + ".souk.internal"}
}

// uniqueName is a service that no other test uses.
func uniqueName() string { return "test-" + strings.ToLower(rand.Text()[:10]) }

func realConsul(t testing.TB) *consulapi.Client {
	t.Helper()
	client, err := testenv.Start(t).Consul()
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// instance is a running instance of a service.
type instance struct {
	id, address string
	deregister  func()
	// kill closes the listener and every connection, as the end of the process does.
	kill func()
}

// startInstance serves over mTLS and registers in Consul.
func startInstance(t testing.TB, consul *consulapi.Client, service string, h http.Handler) *instance {
	t.Helper()
	address, kill := serveTLS(t, service, "127.0.0.1:0", h)
	in := registerInstance(t, consul, service, address)
	in.kill = kill
	return in
}

func serveTLS(t testing.TB, service, at string, h http.Handler) (address string, kill func()) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() {
		if err := server.Serve(tls.NewListener(l, testCA().server(service))); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	kill = func() { _ = server.Close() }
	t.Cleanup(kill)
	return l.Addr().String(), kill
}

// startRaw serves with a function that gets each TLS connection: for answers that no
// HTTP server would give.
func startRaw(t testing.TB, consul *consulapi.Client, service string, serve func(net.Conn, *bufio.Reader)) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", testCA().server(service))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c, bufio.NewReader(c))
			}()
		}
	}()
	registerInstance(t, consul, service, l.Addr().String())
}

func registerInstance(t testing.TB, consul *consulapi.Client, service, address string) *instance {
	t.Helper()
	id := service + "-" + address
	stop, err := discovery.Register(t.Context(), consul, discovery.Registration{Service: service, ID: id, Address: address}, discovery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := &instance{id: id, address: address, kill: func() {}}
	in.deregister = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := stop(ctx); err != nil {
			t.Errorf("deregister: %v", err)
		}
	}
	t.Cleanup(in.deregister)
	return in
}

// running is a gateway that serves.
type running struct {
	*gateway
	url, addr string
	issuer    *tokenstest.Issuer
	registry  *metrics.Registry
	ctx       context.Context
	stop      func() // as SIGTERM does; returns when it has ended
	log       *safeBuffer
	stateDir  string
}

// startGateway runs the whole gateway, but for its identity.
func startGateway(t testing.TB, consul *consulapi.Client, cfg Config) *running {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	issuer := tokenstest.New(t)
	r := &running{issuer: issuer, registry: metrics.New(serviceName, "test"), ctx: ctx, log: &safeBuffer{}, stateDir: t.TempDir()}
	log := slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	r.gateway, err = newGateway(ctx, &cfg, options{Consul: consul, TLS: testCA().client, Tokens: issuer.Verifier(), StateDir: r.stateDir, Log: log, Metrics: r.registry})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	l, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.url = "http://" + r.addr
	opts := cfg.web()
	opts.Service, opts.Log, opts.Metrics = serviceName, log, r.registry
	server := web.New(opts)
	r.routes(server.App())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// config has routes for tests to service.
func testConfig(service string, routes ...Route) Config {
	c := Defaults()
	c.Listen.DrainDelay = 50 * time.Millisecond
	c.Upstream.VanishGrace = time.Second
	if len(routes) == 0 {
		routes = []Route{
			{Path: "/v1/things", Methods: []string{"GET", "POST"}},
			{Path: "/v1/things/{id}", Methods: []string{"GET", "PUT", "PATCH", "DELETE"}},
		}
	}
	for i := range routes {
		if routes[i].Service == "" {
			routes[i].Service = service
		}
		routes[i].Public = !routes[i].Authenticated && len(routes[i].Scopes) == 0
	}
	c.Routes = routes
	return c
}

// knows waits until the gateway has n instances of a service.
func (r *running) knows(t testing.TB, service string, n int) {
	t.Helper()
	eventually(t, "the instances of "+service, func() bool {
		count := -1
		r.balancer.each(func(s *knownService) {
			if s.name == service {
				count = s.count()
			}
		})
		return count == n
	})
}

type knownService = service // knows has a parameter of that name

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// answer is what a client got.
type answer struct {
	*http.Response
	text string
}

// plainClient opens a connection for each request and repeats nothing.
var plainClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       20 * time.Second,
}

func call(t testing.TB, method, url, body string, headers ...string) answer {
	t.Helper()
	a, err := try(t.Context(), plainClient, method, url, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func try(ctx context.Context, client *http.Client, method, url, body string, headers ...string) (answer, error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res, string(text)}, err
}

// raw sends bytes as they are and reads everything until the server closes.
func raw(t testing.TB, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil && len(all) == 0 {
		t.Fatalf("nothing was answered: %v", err)
	}
	return string(all)
}

// safeBuffer collects a log.
type safeBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
