package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

type amount struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type cart struct {
	ID       string `json:"id"`
	Version  int64  `json:"version"`
	Status   string `json:"status"`
	Token    string `json:"token"`
	Currency string `json:"currency"`
	Total    amount `json:"total"`
	Items    []struct {
		SKU      string `json:"sku"`
		Quantity int64  `json:"quantity"`
	} `json:"items"`
}

type order struct {
	ID         string `json:"id"`
	Number     string `json:"number"`
	Status     string `json:"status"`
	Reason     string `json:"reason"`
	Settled    bool   `json:"settled"`
	Stock      string `json:"stock"`
	Payment    string `json:"payment"`
	Fulfilment string `json:"fulfilment"`
	Total      amount `json:"total"`
	Refunded   amount `json:"refunded"`
}

// problem is an answer of 400 and up (RFC 9457).
type problem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// buyer is a customer with a token.
type buyer struct {
	customer
	token string
}

func newBuyer(t *testing.T) buyer {
	t.Helper()
	c := newCustomer(t)
	return buyer{c, c.logIn(t).Access}
}

// ask sends a request as the buyer, and reads the answer of any status into `into`, unless that is nil.
func (b buyer) ask(t *testing.T, method, path string, body, into any, header ...string) int {
	t.Helper()
	with := map[string]string{"Authorization": bearer(b.token)}
	for i := 0; i+1 < len(header); i += 2 {
		with[header[i]] = header[i+1]
	}
	status, answer, err := fetch(http.DefaultClient, method, path, with, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, path, status, answer, err)
		}
	}
	return status
}

// wants is ask for a certain status.
func (b buyer) wants(t *testing.T, want int, method, path string, body, into any, header ...string) {
	t.Helper()
	var answer json.RawMessage
	status := b.ask(t, method, path, body, &answer, header...)
	if status != want {
		t.Fatalf("%s %s: %d %s, want %d", method, path, status, answer, want)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
}

func (b buyer) fill(t *testing.T, sku string, quantity int64) (c cart) {
	t.Helper()
	b.wants(t, http.StatusCreated, "POST", "/v1/carts", map[string]any{"items": []any{map[string]any{"sku": sku, "quantity": quantity}}}, &c)
	return c
}

func placement(c cart, method string) map[string]any {
	return map[string]any{"cart_id": c.ID, "cart_version": c.Version, "payment_method": method}
}

// buys fills a cart, orders it, and returns the order as it is at once.
func (b buyer) buys(t *testing.T, sku string, quantity int64, method string) (o order) {
	t.Helper()
	b.wants(t, http.StatusAccepted, "POST", "/v1/orders", placement(b.fill(t, sku, quantity), method), &o, "Idempotency-Key", uuid.NewString())
	return o
}

// sees waits until the order is as it should be.
func (b buyer) sees(t *testing.T, id string, limit time.Duration, what string, as func(order) bool) (o order) {
	t.Helper()
	eventually(t, limit, "order "+what, func(context.Context) error {
		b.wants(t, http.StatusOK, "GET", "/v1/orders/"+id, nil, &o)
		if !as(o) {
			return fmt.Errorf("it is %+v", o)
		}
		return nil
	})
	return o
}

func complete(o order) bool {
	return o.Status == "confirmed" && o.Settled && o.Stock == "committed" && o.Payment == "captured"
}

func ended(status string) func(order) bool {
	return func(o order) bool { return o.Status == status && o.Settled }
}

// follows reads the order's events as they come until the stream ends, and returns their types.
func (b buyer) follows(t *testing.T, id string) (kinds []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, env.GatewayURL()+"/v1/orders/"+id+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", bearer(b.token))
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("the events of an order: %s %s", res.Status, res.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if kind, is := strings.CutPrefix(lines.Text(), "event:"); is {
			kinds = append(kinds, strings.TrimSpace(kind))
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("the events of an order after %v: %v", kinds, err)
	}
	return kinds
}

// newSKU is a product of one variant at 12.90 EUR with so many pieces in stock.
func newSKU(t *testing.T, pieces int64) (sku, productID string) {
	t.Helper()
	slug := "e2e-" + strings.ToLower(rand.Text()[:10])
	var made product
	operatorMust(t, http.StatusCreated, "POST", "/v1/products", newProduct(slug, seeded(t)[0].CategoryID), &made)
	sku = slug + "-1"
	if pieces == 0 {
		return sku, made.ID
	}
	eventually(t, 30*time.Second, "the inventory knows the SKU", func(context.Context) error {
		status, answer, err := fetch(http.DefaultClient, "POST", "/v1/inventory/"+sku+"/adjustments",
			map[string]string{"Idempotency-Key": "opening-" + sku}, map[string]any{"delta": pieces, "reason": "received"})
		if err != nil || status != http.StatusCreated {
			return fmt.Errorf("%d %s %w", status, answer, err)
		}
		return nil
	})
	buyer{}.canBuy(t, sku)
	return sku, made.ID
}

// canBuy waits until carts know the SKU.
func (b buyer) canBuy(t *testing.T, sku string) {
	t.Helper()
	eventually(t, 30*time.Second, "carts know the SKU", func(context.Context) error {
		var answer json.RawMessage
		if status := b.ask(t, "POST", "/v1/carts", map[string]any{"items": []any{map[string]any{"sku": sku, "quantity": 1}}}, &answer); status != http.StatusCreated {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
}

func operatorMust(t *testing.T, want int, method, path string, body, into any, header ...string) {
	t.Helper()
	token, err := operator.Token()
	if err != nil {
		t.Fatal(err)
	}
	buyer{token: token.AccessToken}.wants(t, want, method, path, body, into, header...)
}

// stock is what the inventory has of a SKU in all.
type stock struct {
	Available int64 `json:"available"`
	Locations []struct {
		Reserved int64 `json:"reserved"`
		Sold     int64 `json:"sold"`
	} `json:"locations"`
}

func stockOf(t *testing.T, sku string) (s stock) {
	t.Helper()
	operatorMust(t, http.StatusOK, "GET", "/v1/inventory/"+sku, nil, &s)
	return s
}

// has checks the stock of a SKU, of which nothing may be reserved.
func has(t *testing.T, sku string, available, sold int64) {
	t.Helper()
	s := stockOf(t, sku)
	var r, gone int64
	for _, l := range s.Locations {
		r, gone = r+l.Reserved, gone+l.Sold
	}
	if s.Available != available || r != 0 || gone != sold {
		t.Errorf("%s: %d available, %d reserved, %d sold; want %d, 0, %d", sku, s.Available, r, gone, available, sold)
	}
}

// intent is what payments has of an order.
type intent struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Amount   amount `json:"amount"`
	Captured amount `json:"captured"`
	Refunded amount `json:"refunded"`
}

func intentsOf(t *testing.T, orderID string) []intent {
	t.Helper()
	var page struct {
		Items []intent `json:"items"`
	}
	operatorMust(t, http.StatusOK, "GET", "/v1/payment-intents?order_id="+orderID, nil, &page)
	return page.Items
}
