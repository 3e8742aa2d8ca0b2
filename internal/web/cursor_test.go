package web

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
)

type position struct {
	Created string `json:"c"`
	ID      string `json:"i"`
}

func TestACursorComesBackInItsScopeOnly(t *testing.T) {
	want := position{"2026-01-02T03:04:05Z", "01a2"}
	text := EncodeCursor("/v1/products?sort=price", want)
	var got position
	if err := DecodeCursor("/v1/products?sort=price", text, &got); err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	if url.QueryEscape(text) != text {
		t.Errorf("%q must be escaped in a URL", text)
	}
	wantBadCursor(t, DecodeCursor("/v1/products?sort=-price", text, &got))
}

func wantBadCursor(t *testing.T, err error) {
	t.Helper()
	if e := (*errs.Error)(nil); !errors.As(err, &e) || e.Kind != errs.Invalid || e.Code != "bad-cursor" || e.Fields[0].Pointer != "?cursor" {
		t.Errorf("got %v, want bad-cursor", err)
	}
}

func TestABadCursorIsRefused(t *testing.T) {
	raw := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	good := EncodeCursor("s", position{"a", "b"})
	for _, text := range []string{
		"", "x", "!!", good + "=", good + "A", good[:len(good)-2], strings.ToUpper(good), "../../etc/passwd", strings.Repeat("A", 1<<20),
		raw("null"), raw("[]"), raw("{}"), raw(`{"v":1}`), raw(`{"v":2,"s":"` + scopeHash("s") + `","p":{}}`),
		raw(`{"v":1,"s":"` + scopeHash("s") + `"}`), raw(`{"v":1,"s":"` + scopeHash("s") + `","p":null}`),
		raw(`{"v":1,"s":"` + scopeHash("s") + `","p":{"c":{"$gt":""}}}`), raw(`{"v":1,"s":"` + scopeHash("s") + `","p":{"x":1}}`),
		raw(`{"v":1,"s":"` + scopeHash("s") + `","p":{"c":"\u0000"}}`),
	} {
		var p position
		wantBadCursor(t, DecodeCursor("s", text, &p))
	}
}

func TestAPageLinksToTheNext(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/v1/things", func(c *fiber.Ctx) error {
			q := Query(c)
			cursor := "n3xt"
			if q.Has("last") {
				cursor = ""
			}
			return SendPage(c, []string(nil), cursor)
		})
	})
	a := r.do("GET", "/v1/things?q=a%26b%20%22%3E&cursor=old&limit=5", nil)
	const next = "/v1/things?cursor=n3xt&limit=5&q=a%26b+%22%3E"
	if string(a.body) != `{"items":[],"next":"`+next+`"}` || a.Header.Get("Link") != "<"+next+`>; rel="next"` || a.Header.Get("Content-Type") != JSONType {
		t.Errorf("%s, %v", a.body, a.Header)
	}
	if a := r.do("GET", "/v1/things?last", nil); string(a.body) != `{"items":[]}` || a.Header.Get("Link") != "" {
		t.Errorf("%s, %v", a.body, a.Header)
	}
}

func FuzzCursor(f *testing.F) {
	for _, seed := range []string{EncodeCursor("s", position{"a", "b"}), "", "AAAA", "bnVsbA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p position
		if err := DecodeCursor("s", text, &p); err != nil {
			wantBadCursor(t, err)
		}
	})
}
