package web

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"souk/internal/errs"
	"souk/services/catalog/app"
)

// member is a member of a JSON merge patch (RFC 7396), which may be absent, null,
// which removes the value, or a new value.
type member[T any] struct {
	present, null bool
	value         T
}

// UnmarshalJSONFrom is called only for members that are there.
func (m *member[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	m.present = true
	if dec.PeekKind() == 'n' {
		m.null = true
		return dec.SkipValue()
	}
	return json.UnmarshalDecode(dec, &m.value)
}

// pointer is nil for an absent member, and the zero value for null: what a member that
// was removed is. Where the catalogue needs the member, it refuses the zero value.
func (m *member[T]) pointer() *T {
	if !m.present {
		return nil
	}
	return &m.value
}

// productPatch names what can be changed; anything else is refused as unknown.
type productPatch struct {
	Status      member[app.Status]         `json:"status"`
	Slug        member[string]             `json:"slug"`
	Title       member[string]             `json:"title"`
	Description member[string]             `json:"description"`
	Brand       member[string]             `json:"brand"`
	CategoryID  member[string]             `json:"category_id"`
	Options     member[[]app.Option]       `json:"options"`
	Variants    member[[]app.Variant]      `json:"variants"`
	Images      member[[]app.Image]        `json:"images"`
	Attributes  member[map[string]*string] `json:"attributes"`
}

func (p *productPatch) change() (app.ProductPatch, error) {
	if err := wanted("/category_id", p.CategoryID); err != nil {
		return app.ProductPatch{}, err
	}
	return app.ProductPatch{
		Status: p.Status.pointer(), Slug: p.Slug.pointer(), Title: p.Title.pointer(), Description: p.Description.pointer(),
		Brand: p.Brand.pointer(), CategoryID: p.CategoryID.pointer(), Options: p.Options.pointer(), Variants: p.Variants.pointer(),
		Images: p.Images.pointer(), ClearAttributes: p.Attributes.null, Attributes: p.Attributes.value,
	}, nil
}

// wanted refuses "", which stands for none within the catalogue but which a client
// must write as null.
func wanted(pointer string, id member[string]) error {
	if id.present && !id.null && id.value == "" {
		return errs.New(errs.Unprocessable, "invalid-patch", "the change breaks a rule").
			With(errs.Field{Pointer: pointer, Detail: "must be the id of a category, or null"})
	}
	return nil
}

// categoryPatch names what can be changed; anything else is refused as unknown.
type categoryPatch struct {
	Slug     member[string]     `json:"slug"`
	Name     member[string]     `json:"name"`
	ParentID member[string]     `json:"parent_id"`
	Status   member[app.Status] `json:"status"`
}

func (p *categoryPatch) change() (app.CategoryPatch, error) {
	if err := wanted("/parent_id", p.ParentID); err != nil {
		return app.CategoryPatch{}, err
	}
	return app.CategoryPatch{
		Slug: p.Slug.pointer(), Name: p.Name.pointer(), ParentID: p.ParentID.pointer(), Status: p.Status.pointer(),
	}, nil
}
