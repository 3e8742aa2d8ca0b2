package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
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
)

// shop stands for the catalogue, which another service's program has: what it says, and what the projection knows of it.
type shop struct {
	mu     sync.Mutex
	prices map[string]app.Price
	asked  [][]string
	away   bool
}

func (s *shop) Prices(_ context.Context, skus []string) (map[string]app.Price, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, skus)
	if s.away {
		return nil, errs.New(errs.Unavailable, "catalog-unavailable", "away")
	}
	found := map[string]app.Price{}
	for _, sku := range skus {
		if p, ok := s.prices[sku]; ok {
			found[sku] = p
		}
	}
	return found, nil
}

func (s *shop) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// cartAPI is the routes of carts on a real port and a real database.
type cartAPI struct {
	t      *testing.T
	url    string
	pool   *postgres.Pool
	store  *store.Store
	carts  *app.Carts
	shop   *shop
	issuer *tokenstest.Issuer
	doc    validator.Validator
	docMu  *sync.Mutex // the validator is not for many goroutines
}

func serveCarts(t *testing.T) cartAPI {
	t.Helper()
	a := cartAPI{t: t, shop: &shop{prices: map[string]app.Price{}}, issuer: tokenstest.New(t), docMu: &sync.Mutex{}}
	a.pool = postgrestest.Open(t, "orders", postgres.Options{})
	a.store = store.New(a.pool, slog.New(slog.DiscardHandler))
	if err := a.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.carts = app.NewCarts(a.store, a.shop, app.DefaultCartSettings)
	text, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	var problems []error
	if a.doc, problems = validator.NewValidator(document, config.WithFormatAssertions()); len(problems) > 0 {
		t.Fatal(problems)
	}
	if ok, problems := a.doc.ValidateDocument(); !ok {
		for _, p := range problems {
			t.Errorf("%s: %s %v", p.Message, p.Reason, p.SchemaValidationErrors)
		}
	}
	server := httpserver.New(httpserver.Options{Service: "orders", Log: slog.New(slog.DiscardHandler), RequestTimeout: 10 * time.Second, DrainDelay: time.Millisecond})
	cartRoutes(server.App(), a.carts, a.issuer.Verifier(), func() int { return 2 })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.url = "http://" + l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return a
}

// sell has the catalogue say a price, and the projection know it.
func (a cartAPI) sell(sku string, minor int64, currency string) app.Price {
	a.t.Helper()
	p := a.announce(sku, minor, currency)
	a.project(p)
	return p
}

// announce has only the catalogue say it.
func (a cartAPI) announce(sku string, minor int64, currency string) app.Price {
	a.shop.mu.Lock()
	defer a.shop.mu.Unlock()
	p := app.Price{
		SKU: sku, ProductID: uuid.NewSHA1(uuid.Nil, []byte(sku)), Version: a.shop.prices[sku].Version + 1, Name: "The " + sku,
		Price: money.Amount{Minor: minor, Currency: currency}, Active: true,
	}
	a.shop.prices[sku] = p
	return p
}

func (a cartAPI) project(prices ...app.Price) {
	a.t.Helper()
	var products []app.Product
	for _, p := range prices {
		products = append(products, app.Product{ID: p.ProductID, Version: p.Version, Prices: []app.Price{p}})
	}
	err := postgres.Tx(a.t.Context(), a.pool, func(tx pgx.Tx) error { return a.store.SaveProducts(a.t.Context(), tx, products) })
	if err != nil {
		a.t.Fatal(err)
	}
}

// cartAnswer is a cart or a problem, whichever came; of a page there is the body.
type cartAnswer struct {
	cartView
	Code   string
	Errors []httpserver.ProblemError
	status int
	header http.Header
	body   string
}

// who sends a request: an access token, a cart's token, an If-Match.
type who struct{ token, cartToken, ifMatch string }

// call sends a request, and holds the answer, and the request if it is a good one, against the contract.
func (a cartAPI) call(as who, method, path, body string) (got cartAnswer) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", httpserver.JSONType)
	}
	for name, value := range map[string]string{"Authorization": as.token, cartTokenHeader: as.cartToken, "If-Match": as.ifMatch} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Error(err)
		return got
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Error(err)
	}
	label := fmt.Sprintf("%s %s %.200s -> %s %.300s", method, path, body, res.Status, raw)
	got = cartAnswer{status: res.StatusCode, header: res.Header, body: string(raw)}
	if got.status >= 400 {
		var p httpserver.Problem
		decodeInto(a.t, got.body, &p)
		got.Code, got.Errors = p.Code, p.Errors
	} else if len(raw) > 0 && (method != http.MethodGet || !listed(path)) {
		decodeInto(a.t, got.body, &got.cartView)
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		a.t.Errorf("%s: Cache-Control is %q", label, res.Header.Get("Cache-Control"))
	}
	if etag := res.Header.Get("ETag"); got.status < 300 && got.Version > 0 && etag != fmt.Sprintf(`"%d"`, got.Version) {
		a.t.Errorf("%s: ETag is %s", label, etag)
	}
	if sum := int64(0); got.status < 300 && got.Version > 0 {
		for _, item := range got.Items {
			sum += item.Quantity * item.UnitPrice.Minor
		}
		if sum != got.Total.Minor {
			a.t.Errorf("%s: the items add up to %d", label, sum)
		}
	}
	a.docMu.Lock()
	defer a.docMu.Unlock()
	req.Body, res.Body = io.NopCloser(strings.NewReader(body)), io.NopCloser(bytes.NewReader(raw))
	if got.status < 300 {
		if ok, problems := a.doc.ValidateHttpRequest(req); !ok {
			for _, p := range problems {
				a.t.Errorf("request: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
			}
		}
	}
	if got.status != http.StatusNoContent {
		if ok, problems := a.doc.ValidateHttpResponse(req, res); !ok {
			for _, p := range problems {
				a.t.Errorf("answer: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
			}
		}
	}
	return got
}

func (a cartAPI) want(status int, as who, method, path, body string) cartAnswer {
	a.t.Helper()
	got := a.call(as, method, path, body)
	if got.status != status {
		a.t.Fatalf("%s %s %.200s: %d, want %d: %s", method, path, body, got.status, status, got.body)
	}
	return got
}

// user is a new customer.
func (a cartAPI) user() who { return who{token: "Bearer " + a.issuer.User()} }

// open makes a cart and gives its path.
func (a cartAPI) open(as who, body string) (cart cartAnswer, path string) {
	a.t.Helper()
	cart = a.want(201, as, "POST", "/v1/carts", body)
	return cart, "/v1/carts/" + cart.ID.String()
}

// rows of carts, all there is to change.
func (a cartAPI) rows() (all string) {
	a.t.Helper()
	err := a.pool.QueryRow(a.t.Context(), "SELECT coalesce(string_agg(c::text, E'\n' ORDER BY id), '') FROM carts c").Scan(&all)
	if err != nil {
		a.t.Fatal(err)
	}
	return all
}

func decodeInto(t *testing.T, body string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), v, json.RejectUnknownMembers(true)); err != nil {
		t.Errorf("%.300s: %v", body, err)
	}
}

// listed tells whether a path is that of a list.
func listed(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	return path == "/v1/carts"
}
