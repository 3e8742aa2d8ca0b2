package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/oauth2"
	"golang.org/x/sync/errgroup"
)

const (
	benchSKUs      = 50
	benchStock     = 1_000_000
	benchCustomers = 8
	benchMethod    = "pm_sandbox_approve"
	// renewAfter is well before a token runs out (10 minutes).
	renewAfter = 5 * time.Minute
)

// benchShop is a product and customers for one run.
type benchShop struct {
	app       *app
	operator  shop
	product   string
	skus      []string
	customers []benchCustomer
	http      *http.Client
}

type benchCustomer struct {
	email, password string
	tokens          oauth2.TokenSource
}

// openBenchShop makes what a run needs. Its errors leave nothing behind but what close would remove.
func (a *app) openBenchShop(ctx context.Context) (b *benchShop, err error) {
	b = &benchShop{app: a, http: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	if b.operator, err = a.shopAsOperator(ctx); err != nil {
		return nil, err
	}
	if err := b.stock(ctx); err != nil {
		return nil, fmt.Errorf("make a product for the run: %w", err)
	}
	for i := range benchCustomers {
		c := benchCustomer{email: fmt.Sprintf("bench-%d-%s@example.com", i, strings.ToLower(rand.Text()[:8])), password: rand.Text()}
		if err := a.register(ctx, c.email, c.password, "Bench Customer"); err != nil {
			return nil, errors.Join(err, b.close(ctx))
		}
		c.tokens = oauth2.ReuseTokenSource(nil, loginSource{ctx, a, c.email, c.password})
		if _, err := c.tokens.Token(); err != nil {
			return nil, errors.Join(err, b.close(ctx))
		}
		b.customers = append(b.customers, c)
	}
	return b, nil
}

// loginSource logs in whenever a token is asked for.
type loginSource struct {
	ctx             context.Context //nolint:containedctx // of the run; oauth2's interface has none
	app             *app
	email, password string
}

func (s loginSource) Token() (*oauth2.Token, error) {
	t, err := s.app.logIn(s.ctx, s.email, s.password)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: t.Access, Expiry: time.Now().Add(renewAfter)}, nil
}

// stock makes a product of many variants, with more of each than any run can sell.
func (b *benchShop) stock(ctx context.Context) error {
	name := strings.ToLower(rand.Text()[:8])
	values, variants := make([]string, benchSKUs), make([]map[string]any, benchSKUs)
	for i := range benchSKUs {
		sku := fmt.Sprintf("BENCH-%s-%d", strings.ToUpper(name), i)
		b.skus = append(b.skus, sku)
		values[i] = fmt.Sprint(i)
		variants[i] = map[string]any{"sku": sku, "options": map[string]string{"No": values[i]}, "price": map[string]any{"amount": 100 + i, "currency": "EUR"}}
	}
	var made struct {
		ID string `json:"id"`
	}
	err := b.operator.call(ctx, http.MethodPost, "/v1/products", map[string]any{
		"status": "active", "slug": "bench-" + name, "title": "Bench", "brand": "Souk", "description": "Made for a benchmark.",
		"options": []any{map[string]any{"name": "No", "values": values}}, "variants": variants,
	}, &made, "Idempotency-Key", "bench-"+name)
	if err != nil {
		return err
	}
	b.product = made.ID
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, sku := range b.skus {
		g.Go(func() error {
			return b.operator.awaited(ctx, "/v1/inventory/"+sku+"/adjustments", map[string]any{"delta": benchStock, "reason": "received"}, "bench-"+sku)
		})
	}
	return g.Wait()
}

// awaited posts until the service has heard of what the request is about.
func (s shop) awaited(ctx context.Context, path string, body any, key string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := s.call(ctx, http.MethodPost, path, body, nil, "Idempotency-Key", key)
		if r := (*refusal)(nil); !errors.As(err, &r) || r.status != http.StatusNotFound && r.status != http.StatusUnprocessableEntity {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// close takes out of sale and erases what openBenchShop made.
func (b *benchShop) close(ctx context.Context) error {
	var problems []error
	if b.product != "" {
		problems = append(problems, b.operator.call(ctx, http.MethodDelete, "/v1/products/"+b.product, nil, nil, "If-Match", "*"))
	}
	for _, c := range b.customers {
		t, err := b.app.logIn(ctx, c.email, c.password)
		if err == nil {
			err = b.app.shopAs(t.Access).call(ctx, http.MethodDelete, "/v1/users/me", nil, nil)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// run places orders at a rate for a while and waits for the answers. What was due and could not be sent in time is late
// by as much: the clock of each order starts when it was due.
func (b *benchShop) run(ctx context.Context, rate int, duration time.Duration) *orderRun {
	r := &orderRun{}
	var wg sync.WaitGroup
	begin, every := time.Now(), time.Second/time.Duration(rate)
	for i := range int(duration / every) {
		due := begin.Add(time.Duration(i) * every)
		select {
		case <-ctx.Done():
			wg.Wait()
			return r
		case <-time.After(time.Until(due)):
		}
		wg.Go(func() { b.buy(ctx, r, i, due) })
	}
	wg.Wait()
	return r
}

// buy fills a cart and orders it.
func (b *benchShop) buy(ctx context.Context, r *orderRun, i int, due time.Time) {
	t, err := b.customers[i%len(b.customers)].tokens.Token()
	if err != nil {
		r.add("", 0, 0, err)
		return
	}
	as := shop{url: b.app.gatewayURL(), http: b.http}
	authorization := "Bearer " + t.AccessToken
	items := make([]map[string]any, 1+i%3)
	for n := range items {
		items[n] = map[string]any{"sku": b.skus[(i*7+n)%len(b.skus)], "quantity": 1 + n}
	}
	var cart, order struct {
		ID      string `json:"id"`
		Version int64  `json:"version"`
	}
	if err := as.call(ctx, http.MethodPost, "/v1/carts", map[string]any{"items": items}, &cart, "Authorization", authorization); err != nil {
		r.add("", 0, 0, err)
		return
	}
	filled := time.Now()
	err = as.call(ctx, http.MethodPost, "/v1/orders", map[string]any{"cart_id": cart.ID, "cart_version": cart.Version, "payment_method": benchMethod},
		&order, "Authorization", authorization, "Idempotency-Key", uuid.NewString())
	r.add(order.ID, filled.Sub(due), time.Since(filled), err)
}
