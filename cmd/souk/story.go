package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"souk/internal/money"
)

// storyLimit is how long an order may take from placement to its end: the sandbox's slowest answer and every deadline.
const storyLimit = 90 * time.Second

// basket is as much of a cart as ordering it takes.
type basket struct {
	ID      string       `json:"id"`
	Token   string       `json:"token"`
	Version int64        `json:"version"`
	Total   money.Amount `json:"total"`
	Items   []struct {
		SKU      string `json:"sku"`
		Name     string `json:"name"`
		Quantity int64  `json:"quantity"`
	} `json:"items"`
}

// purchase is as much of an order as its story shows.
type purchase struct {
	ID       string       `json:"id"`
	Number   string       `json:"number"`
	Status   string       `json:"status"`
	Reason   string       `json:"reason"`
	Stock    string       `json:"stock"`
	Payment  string       `json:"payment"`
	Settled  bool         `json:"settled"`
	Total    money.Amount `json:"total"`
	Refunded money.Amount `json:"refunded"`
}

// chapter is an event of an order's story.
type chapter struct {
	Version int64          `json:"version"`
	Type    string         `json:"type"`
	At      time.Time      `json:"at"`
	Data    map[string]any `json:"data"`
}

// inStock finds something for sale of which there are so many pieces.
func (s shop) inStock(ctx context.Context, pieces int64) (sku string, err error) {
	var products struct {
		Items []struct {
			Variants []struct {
				SKU string `json:"sku"`
			} `json:"variants"`
		} `json:"items"`
	}
	if err := s.call(ctx, http.MethodGet, "/v1/products?limit=30&category="+tryCategory, nil, &products); err != nil {
		return "", err
	}
	var skus []string
	for _, p := range products.Items {
		for _, v := range p.Variants {
			skus = append(skus, v.SKU)
		}
	}
	if len(skus) == 0 {
		return "", errors.New("the shop is empty: `bin/souk seed` fills it")
	}
	var page struct {
		Items []struct {
			SKU       string `json:"sku"`
			Available int64  `json:"available"`
		} `json:"items"`
	}
	if err := s.call(ctx, http.MethodGet, "/v1/inventory?skus="+strings.Join(skus[:min(len(skus), 100)], ","), nil, &page); err != nil {
		return "", err
	}
	for _, item := range page.Items {
		if item.Available >= pieces {
			return item.SKU, nil
		}
	}
	return "", fmt.Errorf("nothing in %s has %d pieces in stock: `bin/souk seed` stocks a new shop", tryCategory, pieces)
}

// available is how many pieces can be bought.
func (s shop) available(ctx context.Context, sku string) (int64, error) {
	var item struct {
		Available int64 `json:"available"`
	}
	err := s.call(ctx, http.MethodGet, "/v1/inventory/"+sku, nil, &item)
	return item.Available, err
}

// order places one of a cart.
func (s shop) order(ctx context.Context, b basket, method string) (o purchase, err error) {
	err = s.call(ctx, http.MethodPost, "/v1/orders", map[string]any{"cart_id": b.ID, "cart_version": b.Version, "payment_method": method}, &o,
		"Idempotency-Key", uuid.NewString())
	return o, err
}

// follow hands over the events of an order after a version, as they happen (server-sent events), until it has come to
// its end. It returns the order as it then is.
func (s shop) follow(ctx context.Context, id string, after int64, next func(chapter)) (o purchase, err error) {
	ctx, cancel := context.WithTimeout(ctx, storyLimit)
	defer cancel()
	for {
		if after, err = s.stream(ctx, id, after, next); err != nil {
			return o, err
		}
		if err := s.call(ctx, http.MethodGet, "/v1/orders/"+id, nil, &o); err != nil || o.Settled {
			return o, err
		}
	}
}

// stream reads one stream to its end, and returns the version of the last event.
func (s shop) stream(ctx context.Context, id string, after int64, next func(chapter)) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/orders/"+id+"/events", nil)
	if err != nil {
		return after, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if after > 0 {
		req.Header.Set("Last-Event-ID", fmt.Sprint(after))
	}
	client := *s.http
	client.Timeout = 0 // ctx bounds it
	res, err := client.Do(req)
	if err != nil {
		return after, fmt.Errorf("follow the order: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNoContent {
		return after, nil
	}
	if res.StatusCode != http.StatusOK {
		return after, &refusal{http.MethodGet, req.URL.Path, res.StatusCode, ""}
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		raw, is := strings.CutPrefix(lines.Text(), "data:")
		if !is {
			continue
		}
		var c chapter
		if err := json.Unmarshal([]byte(raw), &c); err != nil {
			return after, fmt.Errorf("follow the order: %w", err)
		}
		after = c.Version
		next(c)
	}
	return after, lines.Err()
}

// of is the event for people, of an order in this currency: what happened, and the few facts that say more.
func (c chapter) of(currency string) string {
	text := strings.ReplaceAll(c.Type, "_", " ")
	for _, name := range []string{"number", "reason", "amount", "refunded_total"} {
		v, has := c.Data[name]
		if !has || v == "" {
			continue
		}
		if minor, is := v.(float64); is && name != "number" {
			v = money.Amount{Minor: int64(minor), Currency: currency}
		}
		text += fmt.Sprintf(", %s %v", strings.ReplaceAll(name, "_", " "), v)
	}
	return text
}
