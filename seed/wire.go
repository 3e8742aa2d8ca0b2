package seed

import "souk/internal/money"

// The part of the API that seeding uses.
const (
	categoriesPath = "/v1/categories"
	productsPath   = "/v1/products"
	active         = "active"
	maxSKUs        = 100 // in one query, and so the most products that it can find
)

// category as the API shows it.
type category struct {
	ID     string `json:"id"`
	Slug   string `json:"slug"`
	Status string `json:"status"`
}

// productSummary is as much of a product as tells which one it is.
type productSummary struct {
	Slug     string `json:"slug"`
	Variants []struct {
		SKU string `json:"sku"`
	} `json:"variants"`
}

type newCategory struct {
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	ParentID string `json:"parent_id,omitempty"`
}

type newProduct struct {
	Status      string            `json:"status"`
	Slug        string            `json:"slug"`
	Title       string            `json:"title"`
	Brand       string            `json:"brand"`
	Description string            `json:"description"`
	CategoryID  string            `json:"category_id"`
	Options     []newOption       `json:"options,omitempty"`
	Variants    []newVariant      `json:"variants"`
	Images      []newImage        `json:"images"`
	Attributes  map[string]string `json:"attributes,omitempty"`
}

type newOption struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

type newVariant struct {
	SKU     string            `json:"sku"`
	Options map[string]string `json:"options,omitempty"`
	Price   money.Amount      `json:"price"`
}

type newImage struct {
	URL string `json:"url"`
	Alt string `json:"alt"`
}

func newProductFrom(p Product, categoryID string) newProduct {
	n := newProduct{
		Status: active, Slug: p.Slug, Title: p.Title, Brand: p.Brand, Description: p.Description,
		CategoryID: categoryID, Attributes: p.Attributes, Images: []newImage{{URL: p.Image(), Alt: p.Title}},
	}
	for _, o := range p.Options {
		n.Options = append(n.Options, newOption(o))
	}
	for _, v := range p.Variants {
		n.Variants = append(n.Variants, newVariant{SKU: v.SKU, Options: v.Options, Price: v.Price})
	}
	return n
}
