package web

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"souk/services/payments/app"
)

// webhookMember is a member of a JSON merge patch (RFC 7396), which may be absent, null, which removes the value, or a new
// value.
type webhookMember[T any] struct {
	present bool
	value   T // the zero value for null: what is not there
}

// UnmarshalJSONFrom is called only for members that are there.
func (m *webhookMember[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	m.present = true
	if dec.PeekKind() == 'n' {
		return dec.SkipValue()
	}
	return json.UnmarshalDecode(dec, &m.value)
}

func (m *webhookMember[T]) pointer() *T {
	if !m.present {
		return nil
	}
	return &m.value
}

// webhookPatch names what can be changed; anything else is refused as unknown.
type webhookPatch struct {
	URL         webhookMember[string]            `json:"url"`
	Events      webhookMember[[]string]          `json:"events"`
	Description webhookMember[string]            `json:"description"`
	Status      webhookMember[app.WebhookStatus] `json:"status"`
}

// change passes on what was removed as empty: where there must be something, that is refused.
func (p *webhookPatch) change() app.WebhookPatch {
	return app.WebhookPatch{URL: p.URL.pointer(), Events: p.Events.pointer(), Description: p.Description.pointer(), Status: p.Status.pointer()}
}
