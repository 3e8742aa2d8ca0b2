package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

func shirt(t *testing.T) Product {
	t.Helper()
	p, err := NewProduct(ProductInput{Slug: "shirt", Title: "Shirt",
		Options: []Option{{Name: "size", Values: []string{"S", "M"}}},
		Variants: []Variant{
			{SKU: "S", Options: map[string]string{"size": "S"}, Price: eur(300)},
			{SKU: "M", Options: map[string]string{"size": "M"}, Price: eur(200)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestANewProductIsADraftWithItsPriceRange(t *testing.T) {
	p := shirt(t)
	if p.Status != Draft || p.Version != 1 || p.PriceRange != (PriceRange{Min: eur(200), Max: eur(300)}) {
		t.Errorf("%+v", p)
	}
	if id, err := uuid.Parse(p.ID); err != nil || id.Version() != 7 || !timeOf(id).Equal(p.CreatedAt) || time.Since(p.CreatedAt) > time.Minute {
		t.Errorf("id %s, created %s (%v)", p.ID, p.CreatedAt, err)
	}
}

func TestIllegalMovesAreRefused(t *testing.T) {
	title := "New"
	for name, move := range map[string]struct {
		from Status
		do   func(*Product) error
		code string
	}{
		"archive an archived":      {Archived, (*Product).Archive, "already-archived"},
		"restore a draft":          {Draft, func(p *Product) error { return p.Restore(Active) }, "not-archived"},
		"restore to archived":      {Archived, func(p *Product) error { return p.Restore(Archived) }, "invalid-product"},
		"show an archived":         {Archived, func(p *Product) error { return p.Show(Active) }, "product-archived"},
		"show as something":        {Draft, func(p *Product) error { return p.Show("sold") }, "invalid-product"},
		"edit an archived":         {Archived, func(p *Product) error { return p.Edit(ProductPatch{Title: &title}) }, "product-archived"},
		"edit to no variants":      {Draft, func(p *Product) error { return p.Edit(ProductPatch{Variants: &[]Variant{}}) }, "invalid-product"},
		"edit away an option used": {Draft, func(p *Product) error { return p.Edit(ProductPatch{Options: &[]Option{}}) }, "invalid-product"},
	} {
		p := shirt(t)
		p.Status = move.from
		if err := move.do(&p); errs.CodeOf(err) != move.code {
			t.Errorf("%s: %v, want %s", name, err, move.code)
		}
	}
}

func TestAnEditLeavesTheVersionItBeganWithAlone(t *testing.T) {
	before := shirt(t)
	before.Attributes = map[string]string{"a": "1", "b": "2"}
	after := before
	two := "two"
	if err := after.Edit(ProductPatch{Attributes: map[string]*string{"a": nil, "b": &two}}); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(before.Attributes, after.Attributes) != "map[a:1 b:2] map[b:two]" {
		t.Errorf("before %v, after %v", before.Attributes, after.Attributes)
	}
}

func TestSortKeysOrderAsTheirValuesDo(t *testing.T) {
	product := func(title string, price money.Amount, at int64) *Product {
		return &Product{ID: "id", Title: title, PriceRange: PriceRange{Min: price}, UpdatedAt: time.UnixMilli(at)}
	}
	for _, c := range []struct {
		order Sort
		want  []*Product // in ascending order
	}{
		{Cheapest, []*Product{product("", eur(0), 0), product("", eur(9), 0), product("", eur(10), 0), product("", eur(MaxPrice), 0),
			product("", money.Amount{Minor: 1, Currency: "USD"}, 0)}},
		{TitleUp, []*Product{product("10 things", eur(0), 0), product("äpfel", eur(0), 0), product("Apfelmus", eur(0), 0), product("b", eur(0), 0), product("Ça va", eur(0), 0)}},
		{Updated, []*Product{product("", eur(0), 9), product("", eur(0), 10), product("", eur(0), 1_700_000_000_000)}},
	} {
		var keys []string
		for _, p := range c.want {
			keys = append(keys, c.order.Key(p))
		}
		if !slices.IsSorted(keys) {
			t.Errorf("%s: %q", c.order, keys)
		}
	}
}

func TestPriceKeysHoldExactlyThePricesAskedFor(t *testing.T) {
	low, high := int64(100), int64(200)
	for name, q := range map[string]Query{
		"100 to 200": {Currency: "EUR", MinPrice: &low, MaxPrice: &high}, "from 100": {Currency: "EUR", MinPrice: &low},
		"to 200": {Currency: "EUR", MaxPrice: &high}, "any": {Currency: "EUR"},
	} {
		above, below := q.PriceKeys()
		for _, price := range []money.Amount{eur(0), eur(99), eur(100), eur(150), eur(200), eur(201), eur(MaxPrice),
			{Minor: 150, Currency: "EUA"}, {Minor: 150, Currency: "USD"}} {
			want := price.Currency == "EUR" && (q.MinPrice == nil || price.Minor >= low) && (q.MaxPrice == nil || price.Minor <= high)
			key := Cheapest.Key(&Product{ID: "0197a3c0", PriceRange: PriceRange{Min: price}})
			if got := key > above && key < below; got != want {
				t.Errorf("%s: %s is in: %v, want %v", name, price, got, want)
			}
		}
	}
}

func FuzzAnyTitleMakesAShortKey(f *testing.F) {
	f.Add(strings.Repeat("ﷺ", 200))
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, title string) {
		key := TitleUp.Key(&Product{ID: "0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55", Title: title})
		if len(key) > maxKeyTitle+1+36 || !strings.HasSuffix(key, "\x1f0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55") {
			t.Errorf("%q", key)
		}
	})
}
