package seed

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"souk/internal/money"
)

// The shapes that the catalogue accepts, so that a slip shows when the data is read.
var (
	slugShape      = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	skuShape       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	attributeShape = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// checker collects what is wrong with a catalogue.
type checker struct {
	problems []error
	leaves   map[string]bool   // category slug: is it a leaf?
	slugs    map[string]string // product slug: its file
	skus     map[string]string // SKU: its product
}

// check finds everything that is wrong.
func (c Catalogue) check() []error {
	k := checker{leaves: map[string]bool{}, slugs: map[string]string{}, skus: map[string]string{}}
	for _, category := range c.categories() {
		k.category(category)
	}
	for _, p := range c.Products {
		k.product(p)
	}
	return k.problems
}

func (k *checker) category(c Category) {
	say := k.sayer(categoriesFile + ": category " + strconv.Quote(c.Slug))
	if _, again := k.leaves[c.Slug]; again {
		say("the slug is there twice")
	}
	k.leaves[c.Slug] = len(c.Children) == 0
	if !slugShape.MatchString(c.Slug) {
		say("the slug must be lower-case letters and digits in groups joined by single hyphens")
	}
	if blank(c.Name) {
		say("the name is missing or has blanks at its ends")
	}
}

func (k *checker) product(p Product) {
	say := k.sayer(p.file + ": product " + strconv.Quote(p.Slug))
	if first, taken := k.slugs[p.Slug]; taken {
		say("the slug is taken by a product in %s", first)
	}
	k.slugs[p.Slug] = p.file
	if !slugShape.MatchString(p.Slug) {
		say("the slug must be lower-case letters and digits in groups joined by single hyphens")
	}
	switch leaf, known := k.leaves[p.Category]; {
	case !known:
		say("there is no category %q in %s", p.Category, categoriesFile)
	case !leaf:
		say("category %q has subcategories, and products stand in leaves only", p.Category)
	}
	for _, text := range []struct{ name, value string }{{"title", p.Title}, {"brand", p.Brand}, {"description", p.Description}} {
		if blank(text.value) {
			say("the %s is missing or has blanks at its ends", text.name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.Attributes)) {
		if !attributeShape.MatchString(key) || blank(p.Attributes[key]) {
			say("attribute %q must be named in lower-case letters, digits and underscores, and have a value", key)
		}
	}
	if len(p.Variants) == 0 {
		say("there must be at least one variant")
		return
	}
	if money.ValidCurrency(p.Variants[0].Price.Currency) != nil {
		say("the file's currency %q is no ISO 4217 code in upper case", p.Variants[0].Price.Currency)
	}
	k.variants(p, say)
}

func (k *checker) variants(p Product, say func(string, ...any)) {
	used, combinations := map[string]bool{}, map[string]string{}
	for _, v := range p.Variants {
		if first, taken := k.skus[v.SKU]; taken {
			say("SKU %q is taken by product %q", v.SKU, first)
		}
		k.skus[v.SKU] = p.Slug
		if !skuShape.MatchString(v.SKU) {
			say("SKU %q must be up to 64 letters, digits, dots, underscores and hyphens", v.SKU)
		}
		if v.Price.Minor <= 0 {
			say("variant %s: price must be a number of minor units above 0", v.SKU)
		}
		if v.Stock < 0 {
			say("variant %s: stock must be a number of 0 or more", v.SKU)
		}
		combination := combine(p.Options, v, say)
		for _, part := range combination {
			used[part] = true
		}
		key := strings.Join(combination, ", ")
		if first, taken := combinations[key]; taken {
			say("variants %s and %s have the same options (%s)", first, v.SKU, key)
		}
		combinations[key] = v.SKU
	}
	for _, o := range p.Options {
		if len(o.Values) == 0 {
			say("option %q has no values", o.Name)
		}
		for i, value := range o.Values {
			if slices.Contains(o.Values[:i], value) {
				say("option %q has the value %q twice", o.Name, value)
			}
			if !used[o.Name+"="+value] {
				say("no variant has %s %q", o.Name, value)
			}
		}
	}
}

// combine wants one value for every option, and nothing else; it returns them as
// name=value in the options' order.
func combine(options []Option, v Variant, say func(string, ...any)) []string {
	var parts []string
	extra := maps.Clone(v.Options)
	for _, o := range options {
		value, has := v.Options[o.Name]
		switch {
		case !has:
			say("variant %s: %s is missing", v.SKU, o.Name)
		case !slices.Contains(o.Values, value):
			say("variant %s: %s is %q, which is not one of %q", v.SKU, o.Name, value, o.Values)
		}
		parts = append(parts, o.Name+"="+value)
		delete(extra, o.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		say("variant %s: %q is no option of the product", v.SKU, name)
	}
	return parts
}

func (k *checker) sayer(at string) func(format string, args ...any) {
	return func(format string, args ...any) {
		k.problems = append(k.problems, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
	}
}

func blank(s string) bool { return s == "" || strings.TrimSpace(s) != s }
