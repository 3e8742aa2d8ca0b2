package seed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	inventoryPath = "/v1/inventory"
	maxStockQuery = 100 // SKUs that one request can ask for
)

// Stock gives the SKUs that never had any stock their first, as the inventory's location "main" receives it, and
// returns how many that were. One that was ever stocked stays as it is, sold out or not. The inventory hears of new
// SKUs by events: wait is how long to wait for those that it doesn't know; what it doesn't know then is left out.
func Stock(ctx context.Context, c Client, levels map[string]int, wait time.Duration) (int, error) {
	a, err := c.open()
	if err != nil {
		return 0, err
	}
	if c.HTTP == nil {
		defer a.http.CloseIdleConnections()
	}
	empty, err := a.withoutStock(ctx, levels)
	if err != nil {
		return 0, fmt.Errorf("ask for the stock: %w", err)
	}
	var stocked atomic.Int64
	until := time.Now().Add(wait)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, sku := range empty {
		g.Go(func() error {
			done, err := a.stock(ctx, sku, levels[sku], until)
			if err != nil {
				return fmt.Errorf("stock %s: %w", sku, err)
			}
			if done {
				stocked.Add(1)
			}
			return nil
		})
	}
	err = g.Wait()
	return int(stocked.Load()), err
}

// withoutStock are the SKUs that should have some and have none, sorted.
func (a *api) withoutStock(ctx context.Context, levels map[string]int) (empty []string, err error) {
	wanted := slices.DeleteFunc(slices.Sorted(maps.Keys(levels)), func(sku string) bool { return levels[sku] == 0 })
	for some := range slices.Chunk(wanted, maxStockQuery) {
		var page struct {
			Items []struct {
				SKU       string `json:"sku"`
				Available int64  `json:"available"`
			} `json:"items"`
		}
		if err := a.get(ctx, inventoryPath, url.Values{"skus": {strings.Join(some, ",")}}, &page); err != nil {
			return nil, err
		}
		there := map[string]bool{}
		for _, item := range page.Items {
			there[item.SKU] = item.Available > 0
		}
		for _, sku := range some {
			if !there[sku] {
				empty = append(empty, sku)
			}
		}
	}
	return empty, nil
}

// stock receives the first pieces of a SKU, unless it had some before.
func (a *api) stock(ctx context.Context, sku string, pieces int, until time.Time) (bool, error) {
	path := inventoryPath + "/" + url.PathEscape(sku)
	var item struct {
		Locations []struct{} `json:"locations"`
	}
	for {
		err := a.get(ctx, path, nil, &item)
		if err == nil {
			break
		}
		if no := (*refusal)(nil); !errors.As(err, &no) || no.Status != http.StatusNotFound {
			return false, err
		}
		if time.Now().After(until) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	if len(item.Locations) > 0 {
		return false, nil
	}
	replayed, err := a.create(ctx, path+"/adjustments", "stock", sku, map[string]any{"delta": pieces, "reason": "received", "note": "opening stock"}, &struct{}{})
	return err == nil && !replayed, err
}
