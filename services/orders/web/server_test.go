package web_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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
