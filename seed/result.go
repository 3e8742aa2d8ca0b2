package seed

import (
	"fmt"
	"strings"
)

// Result is what became of a catalogue's categories and products.
type Result struct {
	Categories int // created by this run
	Products   int // created by this run
	There      int // categories and products that were there already
	Skipped    int // neither: nobody needs the category, or somebody archived it
	Stocked    int // SKUs that got their first stock from this run
}

// Created is how many objects of the catalogue the run created.
func (r Result) Created() int { return r.Categories + r.Products }

// String is one line for people: "seeded 214 products in 12 categories".
func (r Result) String() string {
	var parts []string
	switch {
	case r.Categories > 0:
		parts = append(parts, "seeded "+many(r.Products, "product")+" in "+many(r.Categories, "category"))
	case r.Products > 0:
		parts = append(parts, "seeded "+many(r.Products, "product"))
	case r.Stocked == 0:
		parts = append(parts, "nothing to seed")
	}
	if r.Stocked > 0 {
		parts = append(parts, "stocked "+many(r.Stocked, "SKU"))
	}
	if r.There > 0 {
		parts = append(parts, fmt.Sprintf("%d categories and products were there already", r.There))
	}
	if r.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d left out, as a category was archived or renamed", r.Skipped))
	}
	return strings.Join(parts, "; ")
}

func many(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}
