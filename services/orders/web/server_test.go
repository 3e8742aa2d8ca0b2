package web_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"

	"souk/internal/errs"
	"souk/internal/money"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/internal/tokens/tokenstest"
	httpserver "souk/internal/web"
	"souk/services/orders/app"
	"souk/services/orders/store"
	"souk/services/orders/web"
)

// api is the service's routes on a real port, over mutual TLS, and on PostgreSQL in a schema of the test's own. The
// catalogue is a price list.
type api struct {
	t       testing.TB
	url     string
	callers map[string]*http.Client // by the service whose certificate they show; "" shows none
	pool    *postgres.Pool
	store   *store.Store
	shelf   *shelf
	issuer  *tokenstest.Issuer
}

type shelf struct {
	mu     sync.Mutex
	prices map[string]app.Price
	away   bool
}

func (s *shelf) Prices(context.Context, []string) (map[string]app.Price, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, errs.New(errs.Unavailable, "catalog-unavailable", "away")
	}
	known := map[string]app.Price{}
	for sku, p := range s.prices {
		known[sku] = p
	}
	return known, nil
}

func (s *shelf) price(sku string, minor int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prices[sku] = app.Price{
		SKU: sku, ProductID: uuid.NewSHA1(uuid.Nil, []byte(sku)), Version: s.prices[sku].Version + 1, Name: "The " + sku,
		Price: money.Amount{Minor: minor, Currency: "EUR"}, Active: true,
	}
}

func serve(t testing.TB) *api {
	t.Helper()
	a := &api{t: t, callers: map[string]*http.Client{}, issuer: tokenstest.New(t), shelf: &shelf{prices: map[string]app.Price{}}}
	a.pool = postgrestest.Open(t, "orders", postgres.Options{})
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	a.store = store.New(a.pool, log)
	if err := a.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.shelf.price("lamp", 1290)
	a.shelf.price("shade", 499)
	document, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	carts := app.NewCarts(a.store, a.shelf, app.DefaultCartSettings)
	followers := app.NewFollowers(a.store, func(err error) { t.Error(err) })
	following, stopFollowing := context.WithCancel(context.Background())
	followed := make(chan struct{})
	go func() { followers.Run(following); close(followed) }()
	server := httpserver.New(httpserver.Options{Service: "orders", Log: log, RequestTimeout: 20 * time.Second, DrainDelay: time.Millisecond, BodyLimit: 128 << 10, TrustForwarded: true})
	web.Routes(server.App(), web.Options{
		Orders: app.NewOrders(a.store, carts, app.DefaultDeadlines), Carts: carts, Followers: followers,
		Verifier: a.issuer.Verifier(), OpenAPI: document, PageSize: func() int { return 2 },
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.url = "https://" + l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(ctx, tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate(t, "orders")}, ClientAuth: tls.RequestClientCert}))
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		stopFollowing()
		<-followed
	})
	for _, service := range []string{"", "gateway", "reconcile"} {
		config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} //nolint:gosec // identity has tests of its own
		if service != "" {
			config.Certificates = []tls.Certificate{certificate(t, service)}
		}
		transport := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 50}
		t.Cleanup(transport.CloseIdleConnections)
		a.callers[service] = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	}
	return a
}

// certificate is one that says what Vault's would.
func certificate(t testing.TB, service string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{service + ".souk.internal"},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "souk", Path: "/" + service}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// checking: the validator is not safe for concurrent use.
var checking sync.Mutex

// contract is openapi.yaml, ready to check requests and answers.
var contract = sync.OnceValues(func() (validator.Validator, error) {
	text, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		return nil, err
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, err
	}
	v, problems := validator.NewValidator(document, config.WithFormatAssertions())
	if len(problems) > 0 {
		return nil, fmt.Errorf("%v", problems)
	}
	return v, nil
})

// call is a request. One that is wrong on purpose is not checked against the contract, its answer always is.
type call struct {
	method, path, body string
	token, key, peer   string
	accept, seen       string // Accept, Last-Event-ID
	wrong              bool
}

// answer is a response with its body read, and what it says.
type answer struct {
	*http.Response
	app.OrderView
	Code  string `json:"code"`
	Items []app.OrderView
	Next  string
	body  string
}

func (a *api) request(c call) *http.Request {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), c.method, a.url+c.path, strings.NewReader(c.body))
	if err != nil {
		a.t.Fatal(err)
	}
	if c.body != "" {
		request.Header.Set("Content-Type", httpserver.JSONType)
	}
	if c.token != "" {
		c.token = "Bearer " + c.token
	}
	for name, value := range map[string]string{"Authorization": c.token, "Idempotency-Key": c.key, "Accept": c.accept, "Last-Event-ID": c.seen} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	return request
}

func (a *api) do(c call) answer {
	a.t.Helper()
	request := a.request(c)
	response, err := a.callers[c.peer].Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	a.check(c, request, response, raw)
	got := answer{Response: response, body: string(raw)}
	switch {
	case response.StatusCode >= 400:
		var p httpserver.Problem
		err = json.Unmarshal(raw, &p)
		got.Code = p.Code
	case len(raw) == 0 || c.path == "/openapi.yaml":
	case strings.HasPrefix(c.path, "/v1/orders") && strings.HasPrefix(got.body, `{"items"`) && !strings.Contains(c.path, "events") && !strings.Contains(c.path, "fulfil"):
		var page struct {
			Items []app.OrderView `json:"items"`
			Next  string          `json:"next"`
		}
		err = json.Unmarshal(raw, &page)
		got.Items, got.Next = page.Items, page.Next
	case strings.HasPrefix(got.body, `{"id"`):
		err = json.Unmarshal(raw, &got.OrderView)
	}
	if err != nil {
		a.t.Errorf("%s %s: %q: %v", c.method, c.path, raw, err)
	}
	return got
}

// check holds request and answer against openapi.yaml.
func (a *api) check(c call, request *http.Request, response *http.Response, body []byte) {
	a.t.Helper()
	checking.Lock()
	defer checking.Unlock()
	v, err := contract()
	if err != nil {
		a.t.Fatal(err)
	}
	request.Body, response.Body = io.NopCloser(strings.NewReader(c.body)), io.NopCloser(bytes.NewReader(body))
	label := fmt.Sprintf("%s %.100s %.200s -> %s %.300s", c.method, c.path, c.body, response.Status, body)
	if !c.wrong && response.StatusCode < 400 {
		if ok, problems := v.ValidateHttpRequest(request); !ok {
			for _, p := range problems {
				a.t.Errorf("request: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
			}
		}
	}
	if got := response.Header.Get("Cache-Control"); c.path != "/openapi.yaml" && got != "no-store" {
		a.t.Errorf("%s: Cache-Control: %q", label, got)
	}
	if response.StatusCode == http.StatusNotModified || response.StatusCode == http.StatusNoContent || strings.HasPrefix(response.Header.Get("Content-Type"), httpserver.EventStreamType) {
		return
	}
	if ok, problems := v.ValidateHttpResponse(request, response); !ok {
		for _, p := range problems {
			a.t.Errorf("answer: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
		}
	}
}

func (a *api) want(status int, c call) answer {
	a.t.Helper()
	got := a.do(c)
	if got.StatusCode != status {
		a.t.Fatalf("%s %s %.200s: %s, want %d: %s", c.method, c.path, c.body, got.Response.Status, status, got.body)
	}
	return got
}

// customer is the token of a new user.
func (a *api) customer() string { return a.issuer.User() }

type cart struct {
	ID      uuid.UUID    `json:"id"`
	Version int64        `json:"version"`
	Total   money.Amount `json:"total"`
}

func (a *api) cart(token string) (c cart) {
	a.t.Helper()
	got := a.want(201, call{method: "POST", path: "/v1/carts", token: token, body: `{"items":[{"sku":"lamp","quantity":2},{"sku":"shade","quantity":1}]}`})
	if err := json.Unmarshal([]byte(got.body), &c); err != nil {
		a.t.Fatal(err)
	}
	return c
}

const address = `{"name":"Ada Lovelace","line1":"1 Main St","postal_code":"1010","city":"Vienna","country":"AT"}`

func placing(token string, c cart) call {
	return call{method: "POST", path: "/v1/orders", token: token, key: uuid.NewString(), body: fmt.Sprintf(
		`{"cart_id":%q,"cart_version":%d,"payment_method":"pm_sandbox_approve","shipping_address":%s}`, c.ID, c.Version, address)}
}

func (a *api) place(token string) answer {
	a.t.Helper()
	return a.want(202, placing(token, a.cart(token)))
}

// happen has inventory and payments say things.
func (a *api) happen(order uuid.UUID, facts ...app.Fact) {
	a.t.Helper()
	for _, f := range facts {
		err := postgres.Tx(a.t.Context(), a.pool, func(tx pgx.Tx) error {
			return a.store.HandleReplies(a.t.Context(), tx, []app.Reply{{Order: order, Fact: f, Currency: "EUR"}}, app.DefaultDeadlines())
		})
		if err != nil {
			a.t.Fatal(err)
		}
	}
}

// total of what cart puts in.
const total = 2*1290 + 499

func confirming() []app.Fact {
	return []app.Fact{app.StockReserved{}, app.PaymentAuthorised{Intent: "i", Amount: total}, app.StockCommitted{}, app.PaymentCaptured{Intent: "i", Amount: total}}
}
