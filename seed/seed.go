// Package seed has the catalogue that a new shop begins with, and puts it into a
// running shop through the public REST API.
//
// The data is in data/: categories.yaml is the tree, and every leaf has a file of
// its products. Makers and products are invented. Nothing is photographed: the image
// addresses are placeholders under images.souk.example, a name that never resolves
// (RFC 2606).
package seed

import (
	"iter"

	"souk/internal/money"
)

// Catalogue is what is to be in the shop. Load gives a checked one.
type Catalogue struct {
	Categories []Category // the top of the tree
	Products   []Product  // by file name, then as written
}

// Category is a node of the tree; products stand in leaves only.
type Category struct {
	Slug     string
	Name     string
	Children []Category
}

// Product in the words of the catalogue's API.
type Product struct {
	Slug        string // unique
	Title       string
	Brand       string
	Description string
	Category    string            // slug of a leaf
	Attributes  map[string]string // may be empty
	Options     []Option          // what the variants differ in, in the order to show
	Variants    []Variant         // one at least

	file string // where it was read, for messages
}

// Option is something that variants differ in, such as size.
type Option struct {
	Name   string
	Values []string
}

// Variant is one combination of the options' values.
type Variant struct {
	SKU     string            // unique over all products
	Options map[string]string // option name to one of its values
	Price   money.Amount
	Stock   int // pieces at the start; 0 is sold out
}

// Image is the address of a picture that does not exist, made from the slug.
func (p Product) Image() string { return "https://images.souk.example/" + p.Slug + "-1.jpg" }

// Levels is the stock to begin with, in pieces by SKU: for Stock.
func (c Catalogue) Levels() map[string]int {
	levels := map[string]int{}
	for _, p := range c.Products {
		for _, v := range p.Variants {
			levels[v.SKU] = v.Stock
		}
	}
	return levels
}

// categories is the whole tree with every parent's slug ("" at the top), parents
// before their children.
func (c Catalogue) categories() iter.Seq2[string, Category] {
	return func(yield func(string, Category) bool) { walk("", c.Categories, yield) }
}

func walk(parent string, siblings []Category, yield func(string, Category) bool) bool {
	for _, c := range siblings {
		if !yield(parent, c) || !walk(c.Slug, c.Children, yield) {
			return false
		}
	}
	return true
}
