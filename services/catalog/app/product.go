// Package app is the catalogue itself: products and categories, the moves they
// allow, and the use cases. It knows neither HTTP nor MongoDB nor Kafka.
package app

import (
	"maps"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// Status of a product: a draft is being prepared, an active one is for sale, an
// archived one is kept for the orders that name it.
type Status string

// The states of a product. Categories know only Active and Archived.
const (
	Draft    Status = "draft"
	Active   Status = "active"
	Archived Status = "archived"
)

// Product in the shape that the API and the events share.
type Product struct {
	ID          string            `json:"id"`      // UUIDv7; its time is CreatedAt
	Version     int64             `json:"version"` // from 1, one more with every change
	Status      Status            `json:"status"`
	Slug        string            `json:"slug"` // unique over all products
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Brand       string            `json:"brand"`
	CategoryID  *string           `json:"category_id"`
	Options     []Option          `json:"options"`
	Variants    []Variant         `json:"variants"` // one at least, all in one currency
	Images      []Image           `json:"images"`
	Attributes  map[string]string `json:"attributes"`
	PriceRange  PriceRange        `json:"price_range"` // of the variants
	CreatedAt   time.Time         `json:"created_at"`  // whole milliseconds, UTC, like UpdatedAt
	UpdatedAt   time.Time         `json:"updated_at"`
}

// MarshalJSONTo sorts the members of objects: one version is always the same bytes, as
// its strong ETag promises (RFC 9110, section 8.8.1).
func (p *Product) MarshalJSONTo(enc *jsontext.Encoder) error {
	type plain Product
	return json.MarshalEncode(enc, (*plain)(p), json.Deterministic(true))
}

// Shown is a product as it is answered. It is stored beside what it was made from and
// written with it, which spares each read both taking the parts out of the database and
// putting them together.
type Shown struct {
	ID      string
	Version int64
	JSON    jsontext.Value
	Key     string // by which the list that it was found in is sorted
}

// MarshalJSONTo writes it as it stands.
func (s *Shown) MarshalJSONTo(enc *jsontext.Encoder) error { return enc.WriteValue(s.JSON) }

// Show puts a product's JSON together.
func Show(p *Product) (Shown, error) {
	raw, err := json.Marshal(p)
	return Shown{ID: p.ID, Version: p.Version, JSON: raw}, err
}

// Option is something that variants differ in, such as size.
type Option struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Variant is what can be bought: one combination of the options' values.
type Variant struct {
	SKU        string            `json:"sku"` // unique over all products
	Title      string            `json:"title,omitzero"`
	Options    map[string]string `json:"options"` // option name to one of its values
	Price      money.Amount      `json:"price"`
	Images     []Image           `json:"images,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Image by its address; the catalogue stores no pictures.
type Image struct {
	URL string `json:"url"`
	Alt string `json:"alt,omitzero"`
}

// PriceRange is the lowest and the highest price of a product's variants.
type PriceRange struct {
	Min money.Amount `json:"min"`
	Max money.Amount `json:"max"`
}

// ProductInput is what a client says about a new product.
type ProductInput struct {
	Status      *Status           `json:"status"` // Draft if nil
	Slug        string            `json:"slug"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Brand       string            `json:"brand"`
	CategoryID  *string           `json:"category_id"`
	Options     []Option          `json:"options"`
	Variants    []Variant         `json:"variants"`
	Images      []Image           `json:"images"`
	Attributes  map[string]string `json:"attributes"`
}

// NewProduct makes version 1, or says everything that is wrong with the input.
func NewProduct(in ProductInput) (Product, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Product{}, err
	}
	p := Product{
		ID: id.String(), Version: 1, Status: Draft,
		Slug: in.Slug, Title: in.Title, Description: in.Description, Brand: in.Brand, CategoryID: in.CategoryID,
		Options: in.Options, Variants: in.Variants, Images: in.Images, Attributes: in.Attributes,
	}
	p.CreatedAt = timeOf(id)
	p.UpdatedAt = p.CreatedAt
	set(&p.Status, in.Status)
	var problems problems
	if p.Status != Draft && p.Status != Active {
		problems.add("/status", "must be draft or active")
	}
	problems.product(&p)
	if err := problems.err("invalid-product", "the product breaks a rule"); err != nil {
		return Product{}, err
	}
	p.PriceRange = RangeOf(p.Variants)
	return p, nil
}

// timeOf reads the milliseconds that a UUIDv7 begins with (RFC 9562, section 5.7), so
// that the order of ids and of creation times is one.
func timeOf(id uuid.UUID) time.Time {
	return time.Unix(id.Time().UnixTime()).UTC()
}

// RangeOf gives the lowest and the highest price of variants in one currency.
func RangeOf(variants []Variant) PriceRange {
	var r PriceRange
	for i, v := range variants {
		if i == 0 || v.Price.Minor < r.Min.Minor {
			r.Min = v.Price
		}
		if i == 0 || v.Price.Minor > r.Max.Minor {
			r.Max = v.Price
		}
	}
	return r
}

// ProductPatch is a change of a product: nil leaves a member as it is. A list is
// replaced whole (RFC 7396); Attributes changes single keys, nil values remove theirs.
type ProductPatch struct {
	Status          *Status
	Slug            *string
	Title           *string
	Description     *string
	Brand           *string
	CategoryID      *string // "" for none
	Options         *[]Option
	Variants        *[]Variant
	Images          *[]Image
	ClearAttributes bool
	Attributes      map[string]*string
}

// edits reports whether the patch changes more than the status.
func (c ProductPatch) edits() bool {
	return c.Slug != nil || c.Title != nil || c.Description != nil || c.Brand != nil || c.CategoryID != nil ||
		c.Options != nil || c.Variants != nil || c.Images != nil || c.ClearAttributes || c.Attributes != nil
}

// Edit changes what the product says, not its status. An archived product can't be
// edited.
func (p *Product) Edit(c ProductPatch) error {
	if !c.edits() {
		return nil
	}
	if p.Status == Archived {
		return errs.New(errs.Conflict, "product-archived",
			"an archived product can't be changed; restore it first, or in the same request, by setting status to draft or active")
	}
	set(&p.Slug, c.Slug)
	set(&p.Title, c.Title)
	set(&p.Description, c.Description)
	set(&p.Brand, c.Brand)
	set(&p.Options, c.Options)
	set(&p.Variants, c.Variants)
	set(&p.Images, c.Images)
	if c.CategoryID != nil {
		p.CategoryID = c.CategoryID
		if *c.CategoryID == "" {
			p.CategoryID = nil
		}
	}
	p.editAttributes(c)
	var problems problems
	problems.product(p)
	if err := problems.err("invalid-product", "the change would leave a product that breaks a rule"); err != nil {
		return err
	}
	p.PriceRange = RangeOf(p.Variants)
	return nil
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func (p *Product) editAttributes(c ProductPatch) {
	changed := maps.Clone(p.Attributes)
	if c.ClearAttributes || changed == nil {
		changed = map[string]string{}
	}
	for key, value := range c.Attributes {
		if value == nil {
			delete(changed, key)
		} else {
			changed[key] = *value
		}
	}
	p.Attributes = changed
}

// Archive takes the product off the shelf. Its slug and SKUs stay taken, as orders
// name them and it may come back.
func (p *Product) Archive() error {
	if p.Status == Archived {
		return errs.New(errs.Conflict, "already-archived", "the product is archived already")
	}
	p.Status = Archived
	return nil
}

// Restore brings an archived product back, as a draft or active.
func (p *Product) Restore(to Status) error {
	if p.Status != Archived {
		return errs.New(errs.Conflict, "not-archived", "only an archived product can be restored; this one is %s", p.Status)
	}
	return p.show(to)
}

// Show moves between draft and active.
func (p *Product) Show(to Status) error {
	if p.Status == Archived {
		return errs.New(errs.Conflict, "product-archived", "an archived product must be restored first")
	}
	return p.show(to)
}

func (p *Product) show(to Status) error {
	if to != Draft && to != Active {
		return errs.New(errs.Unprocessable, "invalid-product", "a product is shown as draft or active").
			With(errs.Field{Pointer: "/status", Detail: "must be draft, active or archived"})
	}
	p.Status = to
	return nil
}
