package seed

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/internal/money"
)

// small is a catalogue of 5 categories and 250 products: more than two queries' worth.
func small() Catalogue {
	c := Catalogue{Categories: []Category{
		{Slug: "home", Name: "Home", Children: []Category{{Slug: "cookware", Name: "Cookware"}, {Slug: "linen", Name: "Linen"}}},
		{Slug: "garden", Name: "Garden", Children: []Category{{Slug: "tools", Name: "Tools"}}},
	}}
	leaves := []string{"cookware", "linen", "tools"}
	for i := range 250 {
		p := Product{
			Slug: fmt.Sprintf("thing-%d", i), Title: fmt.Sprintf("Thing %d", i), Brand: "Hallmoor", Description: "A thing & more.",
			Category: leaves[i%3], Attributes: map[string]string{"material": "iron", "care": "none"},
			Options: []Option{{Name: "size", Values: []string{"S", "L"}}},
		}
		for _, size := range p.Options[0].Values {
			p.Variants = append(p.Variants, Variant{
				SKU: fmt.Sprintf("T-%d-%s", i, size), Options: map[string]string{"size": size},
				Price: money.Amount{Minor: int64(100 + i), Currency: "EUR"}, Stock: i,
			})
		}
		c.Products = append(c.Products, p)
	}
	return c
}

const (
	smallCategories = 5
	smallProducts   = 250
	smallAll        = smallCategories + smallProducts
	fewRequests     = 12 // of them two for categories, nine for three times a hundred products
)

func (s *shop) client() Client { return Client{BaseURL: s.URL, patience: 20 * time.Second} }

// apply seeds the shop and wants it to succeed.
func (s *shop) apply(c Catalogue) Result {
	s.t.Helper()
	r, err := Apply(s.t.Context(), s.client(), c, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// holds checks that the shop has everything of the catalogue once, and nothing else.
func (s *shop) holds(c Catalogue) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	slugs := map[string]bool{}
	for _, p := range s.products {
		slugs[p.Slug] = true
	}
	if len(slugs) != len(c.Products) || len(s.products) != len(c.Products) || len(s.categories) != smallCategories {
		s.t.Errorf("the shop has %d products (%d slugs) in %d categories, want %d in %d",
			len(s.products), len(slugs), len(s.categories), len(c.Products), smallCategories)
	}
}

func TestAnEmptyShopIsFilled(t *testing.T) {
	s, c := openShop(t), small()
	var progress []int
	r, err := Apply(t.Context(), s.client(), c, func(done, total int) {
		if total != smallAll {
			t.Errorf("total is %d, want %d", total, smallAll)
		}
		progress = append(progress, done) // without a lock: -race sees calls at once
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Result{Categories: smallCategories, Products: smallProducts}); r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
	if got, want := r.String(), "seeded 250 products in 5 categories"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(progress) != smallAll || !slices.IsSorted(progress) || progress[len(progress)-1] != smallAll {
		t.Errorf("progress is %v, want 1 to %d", progress, smallAll)
	}
	s.holds(c)
	p, leaf := s.product("thing-4"), s.category("linen")
	if p.CategoryID != leaf.ID || leaf.ParentID != s.category("home").ID || s.category("home").ParentID != "" {
		t.Errorf("thing-4 is in %s, linen (%s) in %q", p.CategoryID, leaf.ID, leaf.ParentID)
	}
	if p.Status != active || p.Variants[1].SKU != "T-4-L" || p.Variants[1].Options["size"] != "L" || p.Variants[1].Price.String() != "EUR 1.04" ||
		p.Options[0].Name != "size" || p.Attributes["care"] != "none" || p.Images[0].URL != "https://images.souk.example/thing-4-1.jpg" {
		t.Errorf("thing-4 arrived as %+v", p)
	}
}

func TestASecondRunChangesNothingAndAsksLittle(t *testing.T) {
	s, c := openShop(t), small()
	s.apply(c)
	s.posts()
	r := s.apply(c)
	if r.Created() != 0 || r.There != smallAll || r.Skipped != 0 {
		t.Errorf("got %+v, want everything to be there", r)
	}
	if got, want := r.String(), "nothing to seed; 255 categories and products were there already"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if all, posts := s.posts(); posts != 0 || all > fewRequests {
		t.Errorf("%d requests, %d of them to create something; want at most %d, none to create", all, posts, fewRequests)
	}
	s.holds(c)
}

func TestWhatAUserDidStays(t *testing.T) {
	s, c := openShop(t), small()
	s.apply(c)
	s.edit(func() {
		s.replies = map[string]shopReply{} // a day later
		s.product("thing-0").Status = "archived"
		s.product("thing-1").Status = "draft"
		s.product("thing-2").Title = "My thing"
		s.product("thing-3").Variants[0].SKU = "MINE" // the SKU that is asked for
		s.product("thing-4").Variants = s.product("thing-4").Variants[1:]
		s.product("thing-5").Slug = "renamed"
		s.product("thing-6").Slug = "renamed-too"
		s.product("renamed-too").Variants[0].SKU = "MINE-TOO" // only the second SKU tells
		s.product("thing-9").Variants[0].SKU = "MINE-3"
		s.product("thing-9").Variants[1].SKU = "MINE-4" // only the shop's refusal tells
		s.category("linen").Slug = "bedding"
		s.category("tools").Status = "archived"
	})
	before := s.contents()
	s.posts()
	r := s.apply(c)
	if want := (Result{There: smallAll - 1, Skipped: 1}); r != want {
		t.Errorf("got %+v, want %+v: the renamed category is neither there nor needed", r, want)
	}
	if after := s.contents(); !slices.Equal(before, after) {
		changed := slices.DeleteFunc(after, func(line string) bool { return slices.Contains(before, line) })
		t.Errorf("%d objects were changed or added: %.500q", len(changed), changed)
	}
	if all, posts := s.posts(); posts != 1 || all > fewRequests+4 {
		t.Errorf("%d requests, %d of them to create something; want it tried only for the product whose SKUs are gone", all, posts)
	}
}

func TestAnArchivedCategoryGetsNothing(t *testing.T) {
	s, c := openShop(t), small()
	with := c
	with.Products = c.Products[:30]
	s.apply(with)
	s.edit(func() {
		s.replies = map[string]shopReply{}
		s.category("tools").Status = "archived"
		s.category("garden").Status = "archived"
		s.categories = slices.DeleteFunc(s.categories, func(c shopCategory) bool { return c.Slug == "tools" })
	})
	r := s.apply(c)
	inTools := 73 // of the 220 that were missing
	if want := (Result{Products: 220 - inTools, There: 30 + 4, Skipped: inTools + 1}); r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
	if got, want := r.String(), "seeded 147 products; 34 categories and products were there already; 74 left out, as a category was archived or renamed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestARunThatWasInterruptedGoesOn(t *testing.T) {
	for _, at := range []int{1, 3, smallCategories + 1, 120} {
		t.Run(fmt.Sprintf("at object %d", at), func(t *testing.T) {
			s, c := openShop(t), small()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			first, err := Apply(ctx, s.client(), c, func(done, _ int) {
				if done == at {
					cancel()
				}
			})
			if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) || !strings.Contains(err.Error(), fmt.Sprintf("of %d categories and products", smallAll)) {
				t.Fatalf("got %v, want it to be cancelled and to say how far it came", err)
			}
			second := s.apply(c)
			if first.Created() < at || second.Created() == 0 || second.Created()+second.There != smallAll {
				t.Errorf("created %d, then %d; %d were there; want %d in all", first.Created(), second.Created(), second.There, smallAll)
			}
			s.holds(c)
		})
	}
}

func TestTwoRunsAtOnceConverge(t *testing.T) {
	for _, keyless := range []bool{false, true} {
		t.Run(fmt.Sprintf("keys have run out: %v", keyless), func(t *testing.T) {
			s, c := openShop(t), small()
			s.keyless = keyless
			var results [2]Result
			var wg sync.WaitGroup
			for i := range results {
				wg.Go(func() {
					var err error
					if results[i], err = Apply(t.Context(), s.client(), c, nil); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for _, r := range results {
				if r.Created()+r.There != smallAll {
					t.Errorf("got %+v, want %d in all", r, smallAll)
				}
			}
			if created := results[0].Created() + results[1].Created(); created != smallAll {
				t.Errorf("%d were created, want %d: each once", created, smallAll)
			}
			s.holds(c)
		})
	}
}

// The other seeder was quicker at everything that this one found missing.
func TestATakenSlugCountsAsThere(t *testing.T) {
	for _, keyless := range []bool{false, true} {
		s, c := openShop(t), small()
		s.apply(c)
		s.edit(func() { s.unlisted, s.keyless = true, keyless })
		if r, want := s.apply(c), (Result{There: smallAll}); r != want {
			t.Errorf("got %+v, want %+v", r, want)
		}
		s.holds(c)
	}
}

func TestChangedDataIsAnotherRequest(t *testing.T) {
	s, c := openShop(t), small()
	s.apply(c)
	s.edit(func() {
		s.products = slices.DeleteFunc(s.products, func(p shopProduct) bool { return p.Slug == "thing-8" })
	})
	c.Products[8].Title = "A better title"
	if r := s.apply(c); r.Products != 1 {
		t.Errorf("got %+v, want one product created under the key of its new contents", r)
	}
	s.holds(c)
}

func TestResultsReadWell(t *testing.T) {
	for want, r := range map[string]Result{
		"seeded 1 product in 1 category": {Products: 1, Categories: 1},
		"seeded 0 products in 2 categories; 9 categories and products were there already": {Categories: 2, There: 9},
		"nothing to seed": {},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
