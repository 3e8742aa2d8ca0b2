package seed

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// shelf is what the shop has of a catalogue.
type shelf struct {
	categories map[string]category // by slug
	slugs      map[string]bool     // of products
	skus       map[string]bool
}

func (s *shelf) has(p Product) bool {
	return s.slugs[p.Slug] || slices.ContainsFunc(p.Variants, func(v Variant) bool { return s.skus[v.SKU] })
}

// look asks for every category, and for products by SKU: by the first of each, which
// is one request for a hundred products in each state, however large the shop has
// grown, and then by the others of those that were not found. A product all of whose
// SKUs somebody changed is not found; the shop refuses to create its slug again.
func (s *seeding) look(ctx context.Context, catalogue Catalogue) (*shelf, error) {
	found := &shelf{categories: map[string]category{}, slugs: map[string]bool{}, skus: map[string]bool{}}
	for _, status := range []string{active, "archived"} {
		var page struct {
			Items []category `json:"items"`
		}
		if err := s.get(ctx, categoriesPath, url.Values{"status": {status}}, &page); err != nil {
			return nil, fmt.Errorf("list the categories: %w", err)
		}
		for _, c := range page.Items {
			found.categories[c.Slug] = c
		}
	}
	var first, others []string
	for _, p := range catalogue.Products {
		if len(p.Variants) > 0 {
			first = append(first, p.Variants[0].SKU)
		}
	}
	if err := s.find(ctx, first, found); err != nil {
		return nil, err
	}
	for _, p := range catalogue.Products {
		if !found.has(p) {
			for _, v := range p.Variants[min(1, len(p.Variants)):] {
				others = append(others, v.SKU)
			}
		}
	}
	if err := s.find(ctx, others, found); err != nil {
		return nil, err
	}
	return found, nil
}

// find adds the products, in any state, that have one of the SKUs.
func (s *seeding) find(ctx context.Context, skus []string, found *shelf) error {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for batch := range slices.Chunk(skus, maxSKUs) {
		for _, status := range []string{active, "draft", "archived"} {
			g.Go(func() error {
				var page struct {
					Items []productSummary `json:"items"`
				}
				query := url.Values{"status": {status}, "sku": {strings.Join(batch, ",")}, "limit": {strconv.Itoa(maxSKUs)}}
				if err := s.get(ctx, productsPath, query, &page); err != nil {
					return fmt.Errorf("look up products: %w", err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, p := range page.Items {
					found.add(p)
				}
				return nil
			})
		}
	}
	return g.Wait()
}

func (s *shelf) add(p productSummary) {
	s.slugs[p.Slug] = true
	for _, v := range p.Variants {
		s.skus[v.SKU] = true
	}
}
