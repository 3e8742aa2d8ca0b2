package web

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"souk/services/users/app"
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

// or is nil for an absent member, and removed for null.
func (m *member[T]) or(removed T) *T {
	switch {
	case !m.present:
		return nil
	case m.null:
		return &removed
	}
	return &m.value
}

// profilePatch names what users may change of themselves; anything else is refused as unknown: id, version, e-mail, roles.
type profilePatch struct {
	Name      member[string]        `json:"name"`
	Phone     member[string]        `json:"phone"`
	Locale    member[string]        `json:"locale"`
	Addresses member[[]app.Address] `json:"addresses"`
}

func (p *profilePatch) change() app.Patch {
	return app.Patch{
		Name: p.Name.or(""), Phone: p.Phone.or(""), Locale: p.Locale.or(app.DefaultLocale), Addresses: p.Addresses.or([]app.Address{}),
	}
}
