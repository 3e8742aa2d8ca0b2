package app

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// Limits of what a product may hold. Lengths are in characters.
const (
	maxSlug        = 100
	maxTitle       = 200
	maxDescription = 20_000
	maxName        = 100 // brands, option names and values
	maxOptions     = 3
	maxValues      = 100
	maxVariants    = 100
	maxImages      = 20
	maxAlt         = 300
	maxURL         = 2048
	maxAttributes  = 50
	maxAttribute   = 500
)

// MaxPrice is the highest price, in minor units.
const MaxPrice = 1_000_000_000_000

var (
	slugPattern      = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	skuPattern       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	attributePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// problems collects everything that is wrong, so that a client learns it at once.
type problems []errs.Field

// maxProblems keeps an answer readable.
const maxProblems = 20

func (ps *problems) add(pointer, format string, args ...any) {
	if len(*ps) < maxProblems {
		*ps = append(*ps, errs.Field{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
}

func (ps *problems) err(code, detail string) error {
	if len(*ps) == 0 {
		return nil
	}
	return errs.New(errs.Unprocessable, code, "%s", detail).With(*ps...)
}

func (ps *problems) product(p *Product) {
	ps.slug("/slug", p.Slug)
	ps.line("/title", p.Title, 1, maxTitle)
	ps.text("/description", p.Description, maxDescription)
	ps.line("/brand", p.Brand, 0, maxName)
	ps.options(p.Options)
	ps.variants(p.Options, p.Variants)
	ps.images("/images", p.Images)
	ps.attributes("/attributes", p.Attributes)
}

// slug: a slug that looks like an id would make /categories/{id-or-slug} ambiguous.
func (ps *problems) slug(pointer, slug string) {
	_, idErr := uuid.Parse(slug)
	if len(slug) > maxSlug || !slugPattern.MatchString(slug) || idErr == nil {
		ps.add(pointer, "must be 1 to %d lower-case letters and digits in groups joined by single hyphens, and no UUID", maxSlug)
	}
}

// line: text of one line, without blanks at its ends.
func (ps *problems) line(pointer, s string, least, most int) {
	if n := utf8.RuneCountInString(s); n < least || n > most {
		ps.add(pointer, "must have %d to %d characters", least, most)
	} else if strings.ContainsFunc(s, unicode.IsControl) || strings.TrimSpace(s) != s {
		ps.add(pointer, "must not have control characters, nor blanks at its ends")
	}
}

func (ps *problems) text(pointer, s string, most int) {
	if utf8.RuneCountInString(s) > most {
		ps.add(pointer, "must have at most %d characters", most)
	} else if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }) {
		ps.add(pointer, "must not have control characters except line breaks and tabs")
	}
}

func (ps *problems) options(options []Option) {
	if len(options) > maxOptions {
		ps.add("/options", "must have at most %d items", maxOptions)
		return
	}
	names := map[string]bool{}
	for i, o := range options {
		at := fmt.Sprintf("/options/%d", i)
		ps.line(at+"/name", o.Name, 1, maxName)
		if names[o.Name] {
			ps.add(at+"/name", "must differ from the other options' names")
		}
		names[o.Name] = true
		if len(o.Values) < 1 || len(o.Values) > maxValues {
			ps.add(at+"/values", "must have 1 to %d items", maxValues)
			continue
		}
		values := map[string]bool{}
		for j, v := range o.Values {
			ps.line(fmt.Sprintf("%s/values/%d", at, j), v, 1, maxName)
			if values[v] {
				ps.add(fmt.Sprintf("%s/values/%d", at, j), "must differ from the other values")
			}
			values[v] = true
		}
	}
}

func (ps *problems) variants(options []Option, variants []Variant) {
	if len(variants) < 1 || len(variants) > maxVariants {
		ps.add("/variants", "must have 1 to %d items", maxVariants)
		return
	}
	skus, combinations := map[string]bool{}, map[string]bool{}
	for i, v := range variants {
		at := fmt.Sprintf("/variants/%d", i)
		if !skuPattern.MatchString(v.SKU) {
			ps.add(at+"/sku", "must be 1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or digit")
		} else if skus[v.SKU] {
			ps.add(at+"/sku", "must differ from the other variants' SKUs")
		}
		skus[v.SKU] = true
		ps.line(at+"/title", v.Title, 0, maxTitle)
		ps.images(at+"/images", v.Images)
		ps.attributes(at+"/attributes", v.Attributes)
		ps.price(at+"/price", v.Price, variants[0].Price.Currency)
		if combination, ok := ps.combination(at+"/options", options, v.Options); ok {
			if combinations[combination] {
				ps.add(at+"/options", "must differ from the other variants' options")
			}
			combinations[combination] = true
		}
	}
}

// combination wants a value for each option and nothing else, and returns a text that
// differs between different combinations.
func (ps *problems) combination(at string, options []Option, chosen map[string]string) (string, bool) {
	key, ok := "", true
	for _, o := range options {
		value, has := chosen[o.Name]
		if !has || !slices.Contains(o.Values, value) {
			ps.add(at, "must name one of the values of option %q", o.Name)
			ok = false
		}
		key += strconv.Quote(value)
	}
	if ok && len(chosen) != len(options) {
		ps.add(at, "must name only options of the product")
		ok = false
	}
	return key, ok
}

func (ps *problems) price(at string, price money.Amount, currency string) {
	switch {
	case money.ValidCurrency(price.Currency) != nil:
		ps.add(at+"/currency", "must be an ISO 4217 code in upper case")
	case price.Currency != currency:
		ps.add(at+"/currency", "must be the same for all variants: %s", currency)
	}
	if price.Minor < 0 || price.Minor > MaxPrice {
		ps.add(at+"/amount", "must be 0 to %d minor units", int64(MaxPrice))
	}
}

func (ps *problems) images(at string, images []Image) {
	if len(images) > maxImages {
		ps.add(at, "must have at most %d items", maxImages)
		return
	}
	for i, image := range images {
		u, err := url.Parse(image.URL)
		if err != nil || len(image.URL) > maxURL || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			ps.add(fmt.Sprintf("%s/%d/url", at, i), "must be an https URL of at most %d characters, without user information", maxURL)
		}
		ps.line(fmt.Sprintf("%s/%d/alt", at, i), image.Alt, 0, maxAlt)
	}
}

func (ps *problems) attributes(at string, attributes map[string]string) {
	if len(attributes) > maxAttributes {
		ps.add(at, "must have at most %d members", maxAttributes)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		if !attributePattern.MatchString(key) {
			ps.add(at, "names must be 1 to 64 lower-case letters, digits and underscores, beginning with a letter")
			continue
		}
		ps.line(at+"/"+key, attributes[key], 1, maxAttribute)
	}
}
