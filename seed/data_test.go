package seed

import (
	"strings"
	"testing"
	"unicode"
)

// What the shop promises of its first catalogue. Load itself has checked that slugs
// and SKUs are unique; it is counted again here, not trusted.
func TestTheCatalogueIsLargeEnough(t *testing.T) {
	c := loaded(t)
	inLeaf, slugs, skus := map[string]int{}, map[string]bool{}, map[string]bool{}
	variants := 0
	for _, p := range c.Products {
		inLeaf[p.Category]++
		slugs[p.Slug] = true
		for _, v := range p.Variants {
			variants++
			skus[v.SKU] = true
		}
	}
	t.Logf("%d products with %d variants in %d leaf categories", len(c.Products), variants, len(inLeaf))
	if len(c.Products) < 200 || len(slugs) != len(c.Products) {
		t.Errorf("%d products with %d different slugs, want 200 or more, all different", len(c.Products), len(slugs))
	}
	if len(skus) != variants || len(c.Levels()) != variants {
		t.Errorf("%d variants with %d different SKUs and %d stock levels, want as many", variants, len(skus), len(c.Levels()))
	}
	leaves := 0
	for _, category := range c.categories() {
		if len(category.Children) > 0 {
			continue
		}
		leaves++
		if inLeaf[category.Slug] == 0 {
			t.Errorf("category %s has no products", category.Slug)
		}
	}
	if leaves < 10 {
		t.Errorf("%d leaf categories, want 10 or more", leaves)
	}
}

func TestSomeProductsHaveVariantsAndSomeAreSoldOut(t *testing.T) {
	withOptions, soldOut := 0, 0
	for _, p := range loaded(t).Products {
		if len(p.Variants) > 1 {
			withOptions++
		}
		for _, v := range p.Variants {
			if v.Stock == 0 {
				soldOut++
			}
		}
	}
	if withOptions == 0 || soldOut == 0 {
		t.Errorf("%d products with several variants, %d variants sold out: want some of each", withOptions, soldOut)
	}
}

// TestNoTwoDescriptionsAreAlike compares words, so that a text which was copied and
// changed in two places is found too.
func TestNoTwoDescriptionsAreAlike(t *testing.T) {
	const tooAlike = 0.6 // shared words among all words of both
	products := loaded(t).Products
	words := make([]map[string]bool, len(products))
	titles := map[string]string{}
	for i, p := range products {
		words[i] = wordsOf(p.Description)
		if len(words[i]) < 5 {
			t.Errorf("%s has hardly a description: %q", p.Slug, p.Description)
		}
		if other := titles[strings.ToLower(p.Brand+" "+p.Title)]; other != "" {
			t.Errorf("%s and %s have one brand and title: %s", other, p.Slug, p.Title)
		}
		titles[strings.ToLower(p.Brand+" "+p.Title)] = p.Slug
		for j := range i {
			if share := shared(words[i], words[j]); share > tooAlike {
				t.Errorf("%s and %s share %.0f %% of their words:\n  %s\n  %s", products[j].Slug, p.Slug, share*100, products[j].Description, p.Description)
			}
		}
	}
}

func wordsOf(text string) map[string]bool {
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		words[w] = true
	}
	return words
}

func shared(a, b map[string]bool) float64 {
	both := 0
	for w := range a {
		if b[w] {
			both++
		}
	}
	return float64(both) / float64(max(1, len(a)+len(b)-both))
}

func loaded(t *testing.T) Catalogue {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
