package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/internal/money"
	"souk/services/orders/app"
)

// answerSize is more than MaxSKUs prices with the longest names take.
const answerSize = 2 << 20

// askOne asks one instance: POST /internal/prices.
func (c *Client) askOne(ctx context.Context, within time.Duration, address, traceparent string, skus []string) (map[string]app.Price, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	body, err := json.Marshal(struct {
		SKUs []string `json:"skus"`
	}{skus})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+"/internal/prices", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if traceparent != "" {
		req.Header.Set("Traceparent", traceparent)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, answerSize+1))
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s", address, res.Status)
	case len(answer) > answerSize:
		return nil, fmt.Errorf("%s answers too much", address)
	}
	return read(answer, len(skus))
}

// read takes members that it doesn't know. What it can't rely on is no answer: a price is never guessed.
func read(answer []byte, asked int) (map[string]app.Price, error) {
	var data struct {
		Prices *[]struct {
			SKU       string       `json:"sku"`
			ProductID uuid.UUID    `json:"product_id"`
			Version   int64        `json:"version"`
			Name      string       `json:"name"`
			Price     money.Amount `json:"price"`
			Active    bool         `json:"active"`
		} `json:"prices"`
	}
	if err := json.Unmarshal(answer, &data); err != nil {
		return nil, fmt.Errorf("the answer: %w", err)
	}
	if data.Prices == nil || len(*data.Prices) > asked {
		return nil, errors.New("the answer has no prices, or more than were asked for")
	}
	prices := make(map[string]app.Price, len(*data.Prices))
	for _, p := range *data.Prices {
		if p.SKU == "" || p.ProductID == uuid.Nil || p.Version < 1 || p.Price.Validate() != nil || p.Price.Minor < 0 {
			return nil, errors.New("the answer lacks a SKU, product, version or price, or one is negative")
		}
		prices[p.SKU] = app.Price(p)
	}
	return prices, nil
}
