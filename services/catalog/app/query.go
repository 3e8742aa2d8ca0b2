package app

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"souk/internal/errs"
	"souk/internal/money"
)

// Sort is an order of products.
type Sort string

// The orders. Price is the lowest of a product's variants; products in different
// currencies are grouped by currency. Titles compare without case and accents.
const (
	Newest    Sort = "newest"
	Oldest    Sort = "oldest"
	Cheapest  Sort = "price"
	Dearest   Sort = "-price"
	TitleUp   Sort = "title"
	TitleDown Sort = "-title"
	Updated   Sort = "updated" // last changed first
)

// Sorts are all orders, the default first.
func Sorts() []Sort {
	return []Sort{Newest, Oldest, Cheapest, Dearest, TitleUp, TitleDown, Updated}
}

// Descending orders run from the highest key down.
func (s Sort) Descending() bool {
	return s == Newest || s == Dearest || s == TitleDown || s == Updated
}

// Key is the text that a product is sorted by. It is unique, as it ends with the
// product's id, so a page can begin exactly behind the last product of the one before,
// whatever was added meanwhile and however many products are equal otherwise.
func (s Sort) Key(p *Product) string {
	switch s {
	case Cheapest, Dearest:
		return priceKey(p.PriceRange.Min) + p.ID
	case TitleUp, TitleDown:
		return cut(fold(p.Title)) + "\x1f" + p.ID // a title has no control characters
	case Updated:
		return fmt.Sprintf("%013d", p.UpdatedAt.UnixMilli()) + p.ID
	}
	return p.ID
}

// priceKey sorts as its amount does within a currency; MaxPrice has 13 digits.
func priceKey(a money.Amount) string { return fmt.Sprintf("%s%013d", a.Currency, a.Minor) }

// maxKeyTitle bounds the part of a title that counts, in bytes: keys stand in indexes
// and cursors, and some letters unfold to many.
const maxKeyTitle = 128

func cut(s string) string {
	if len(s) <= maxKeyTitle {
		return s
	}
	end := maxKeyTitle
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// fold removes case and accents.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(s))
}

// Query selects and orders products. Empty members select everything.
type Query struct {
	Slug     string
	SKUs     []string // products with any of these
	Category string   // id or slug; with its descendants
	Brand    string
	Status   Status
	Currency string
	MinPrice *int64 // of the cheapest variant, in minor units of Currency
	MaxPrice *int64
	Sort     Sort
	Limit    int    // of the page
	After    string // Sort's Key of the product that the page comes after
}

// key is the same for equal queries only.
func (q *Query) key() string {
	bound := func(b *int64) int64 {
		if b == nil {
			return -1
		}
		return *b
	}
	return fmt.Sprintf("%q %q %q %q %s %q %d %d %s %d %q", q.Slug, q.SKUs, q.Category, q.Brand, q.Status, q.Currency,
		bound(q.MinPrice), bound(q.MaxPrice), q.Sort, q.Limit, q.After)
}

// MaxSKUs is how many SKUs one query may name.
const MaxSKUs = 100

// Check says what is wrong with a query.
func (q *Query) Check() error {
	var problems problems
	if len(q.SKUs) > MaxSKUs {
		problems.add("?sku", "must name at most %d SKUs", MaxSKUs)
	}
	if q.Currency != "" && money.ValidCurrency(q.Currency) != nil {
		problems.add("?currency", "must be an ISO 4217 code in upper case")
	}
	for _, bound := range []struct {
		name  string
		value *int64
	}{{"?min_price", q.MinPrice}, {"?max_price", q.MaxPrice}} {
		switch {
		case bound.value == nil:
		case q.Currency == "":
			problems.add(bound.name, "needs currency beside it: prices of different currencies don't compare")
		case *bound.value < 0 || *bound.value > MaxPrice:
			problems.add(bound.name, "must be 0 to %d minor units", int64(MaxPrice))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return errs.New(errs.Invalid, "bad-query", "the query has parameters that can't be used like this").With(problems...)
}

// PriceKeys are the beginnings of sort keys between which the Cheapest.Key of the
// products of the query's currency and prices lies; "" if it asks for neither.
func (q *Query) PriceKeys() (above, below string) {
	if q.Currency == "" {
		return "", ""
	}
	above, below = q.Currency, q.Currency+":" // ':' follows '9'
	if q.MinPrice != nil {
		above = priceKey(money.Amount{Minor: *q.MinPrice, Currency: q.Currency})
	}
	if q.MaxPrice != nil {
		below = priceKey(money.Amount{Minor: *q.MaxPrice + 1, Currency: q.Currency})
	}
	return above, below
}
