package store

import (
	"time"

	"souk/internal/money"
	"souk/services/catalog/app"
)

// productDoc is a product as MongoDB holds it. Field names are ours alone: whatever
// a client names, such as an option, is a value here, never a key that could carry an
// operator or a path. Attribute names are keys, and checked to be plain words.
type productDoc struct {
	ID           string        `bson:"_id"`
	CreatedAt    time.Time     `bson:"created_at"`
	Fields       productFields `bson:",inline"`
	Outbox       []eventDoc    `bson:"outbox"`
	PendingSince *time.Time    `bson:"pending_since,omitempty"` // while the outbox has events
	Once         *onceDoc      `bson:"once,omitempty"`
}

// productFields is what a change replaces.
type productFields struct {
	Version     int64             `bson:"version"`
	Status      app.Status        `bson:"status"`
	Slug        string            `bson:"slug"`
	Title       string            `bson:"title"`
	Description string            `bson:"description"`
	Brand       string            `bson:"brand"`
	CategoryID  string            `bson:"category_id"` // "" for none
	Options     []optionDoc       `bson:"options"`
	Currency    string            `bson:"currency"`
	Variants    []variantDoc      `bson:"variants"`
	Images      []imageDoc        `bson:"images"`
	Attributes  map[string]string `bson:"attributes"`
	UpdatedAt   time.Time         `bson:"updated_at"`
	Sort        sortDoc           `bson:"sort"`
	Shown       shownDoc          `bson:"shown"`
}

type optionDoc struct {
	Name   string   `bson:"name"`
	Values []string `bson:"values"`
}

type variantDoc struct {
	SKU        string            `bson:"sku"`
	Title      string            `bson:"title,omitempty"`
	Choice     []string          `bson:"choice"` // a value for each of the product's options, in their order
	Price      int64             `bson:"price"`  // minor units
	Images     []imageDoc        `bson:"images,omitempty"`
	Attributes map[string]string `bson:"attributes,omitempty"`
}

type imageDoc struct {
	URL string `bson:"url"`
	Alt string `bson:"alt,omitempty"`
}

// sortDoc holds the unique keys that lists are ordered by (app.Sort.Key); newest and
// oldest need only the id.
type sortDoc struct {
	Price   string `bson:"price"`
	Title   string `bson:"title"`
	Updated string `bson:"updated"`
}

// shownDoc is the JSON of the product, for reads.
type shownDoc struct {
	Shape   int    `bson:"shape"`
	Version int64  `bson:"version"`
	JSON    string `bson:"json"`
}

// shape counts up when the JSON of a product changes, so that what was stored before,
// or by a newer program, is put together anew.
const shape = 1

// shown is a product's JSON, if it is stored for this version and in today's shape.
func (d *productDoc) shown(order app.Sort) (app.Shown, bool) {
	s := app.Shown{ID: d.ID, Version: d.Fields.Version, JSON: []byte(d.Fields.Shown.JSON)}
	switch sortFields[order].field {
	case priceField:
		s.Key = d.Fields.Sort.Price
	case titleField:
		s.Key = d.Fields.Sort.Title
	case updatedField:
		s.Key = d.Fields.Sort.Updated
	default:
		s.Key = d.ID
	}
	return s, d.Fields.Shown.Shape == shape && d.Fields.Shown.Version == d.Fields.Version
}

// readFields is what makes an app.Product. Reads always ask for fields by name: the
// outbox can be large, and the development server hands out documents that a write
// may be changing, unless it copies fields out of them.
var readFields = []string{
	"created_at", "version", "status", "slug", "title", "description", "brand", "category_id", "options",
	"currency", "variants", "images", "attributes", "updated_at",
}

// fieldsOf maps a product; shown is its JSON.
func fieldsOf(p *app.Product, shown []byte) productFields {
	f := productFields{
		Version: p.Version, Status: p.Status, Slug: p.Slug, Title: p.Title, Description: p.Description, Brand: p.Brand,
		Options: make([]optionDoc, len(p.Options)), Currency: p.PriceRange.Min.Currency,
		Variants: make([]variantDoc, len(p.Variants)), Images: imageDocs(p.Images),
		Attributes: p.Attributes, UpdatedAt: p.UpdatedAt,
		Sort:  sortDoc{Price: app.Cheapest.Key(p), Title: app.TitleUp.Key(p), Updated: app.Updated.Key(p)},
		Shown: shownDoc{Shape: shape, Version: p.Version, JSON: string(shown)},
	}
	if p.CategoryID != nil {
		f.CategoryID = *p.CategoryID
	}
	if f.Attributes == nil {
		f.Attributes = map[string]string{}
	}
	for i, o := range p.Options {
		f.Options[i] = optionDoc(o)
	}
	for i, v := range p.Variants {
		choice := make([]string, len(p.Options))
		for j, o := range p.Options {
			choice[j] = v.Options[o.Name]
		}
		f.Variants[i] = variantDoc{SKU: v.SKU, Title: v.Title, Choice: choice, Price: v.Price.Minor, Images: imageDocs(v.Images), Attributes: v.Attributes}
	}
	return f
}

func imageDocs(images []app.Image) []imageDoc {
	docs := make([]imageDoc, len(images))
	for i, image := range images {
		docs[i] = imageDoc(image)
	}
	return docs
}

func (d *productDoc) product() app.Product {
	f := &d.Fields
	p := app.Product{
		ID: d.ID, Version: f.Version, Status: f.Status, Slug: f.Slug, Title: f.Title, Description: f.Description, Brand: f.Brand,
		Options: make([]app.Option, len(f.Options)), Variants: make([]app.Variant, len(f.Variants)),
		Images: images(f.Images), Attributes: f.Attributes, CreatedAt: d.CreatedAt.UTC(), UpdatedAt: f.UpdatedAt.UTC(),
	}
	if f.CategoryID != "" {
		p.CategoryID = &f.CategoryID
	}
	for i, o := range f.Options {
		p.Options[i] = app.Option(o)
	}
	for i, v := range f.Variants {
		options := make(map[string]string, len(f.Options))
		for j, o := range f.Options {
			options[o.Name] = v.Choice[j]
		}
		p.Variants[i] = app.Variant{
			SKU: v.SKU, Title: v.Title, Options: options, Price: money.Amount{Minor: v.Price, Currency: f.Currency},
			Images: images(v.Images), Attributes: v.Attributes,
		}
	}
	p.PriceRange = app.RangeOf(p.Variants)
	return p
}

func images(docs []imageDoc) []app.Image {
	all := make([]app.Image, len(docs))
	for i, d := range docs {
		all[i] = app.Image(d)
	}
	return all
}
