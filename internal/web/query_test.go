package web

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
)

// listing asks for what a list of products would.
func listing(q *QueryReader) string {
	return fmt.Sprint(q.String("brand", "any"), q.Int("limit", 20, 1, 100), q.Enum("sort", "newest", "newest", "price"), q.Bool("on", true), q.List("sku", 3), q.Has("flag"))
}

func TestAQueryIsReadOrRefusedWhole(t *testing.T) {
	for raw, want := range map[string]string{
		"": "any 20 newest true [] false",
		"brand=a%20b+c&limit=100&sort=price&on=false&sku=A,B&flag": "a b c 100 price false [A B] true",
		"&&brand=%C3%A4&": "ä 20 newest true [] false",
		"brand=a=b":       "a=b 20 newest true [] false",
		"brand=":          " 20 newest true [] false",
	} {
		q := parseQuery(raw)
		got := strings.ReplaceAll(strings.ReplaceAll(listing(q), "  ", " "), "[]", "[]")
		if q.Err() != nil || !strings.Contains(strings.ReplaceAll(got, " ", ""), strings.ReplaceAll(want, " ", "")) {
			t.Errorf("%q: %q, %v, want %q", raw, got, q.Err(), want)
		}
	}
	for raw, want := range map[string]string{
		"limt=5":                             "?limt",
		"Limit=5":                            "?Limit",
		"limit=5&limit=5":                    "?limit",
		"limit=0":                            "?limit",
		"limit=101":                          "?limit",
		"limit=+5":                           "?limit",
		"limit=5.0":                          "?limit",
		"limit=1e1":                          "?limit",
		"limit=":                             "?limit",
		"limit=99999999999999999999":         "?limit",
		"sort=price;DROP":                    "?sort",
		"sort[]=price":                       "?sort[]",
		"brand[$ne]=x":                       "?brand[$ne]",
		"on=1":                               "?on",
		"on=TRUE":                            "?on",
		"sku=A,B,C,D":                        "?sku",
		"sku=A,,B":                           "?sku",
		"sku=":                               "?sku",
		"brand=%00":                          "?brand",
		"brand=%0a":                          "?brand",
		"brand=%ff":                          "?brand",
		"brand=%zz":                          "?brand",
		"brand=%":                            "?brand",
		"brand=" + strings.Repeat("a", 1025): "?brand",
		"=5":                                 "?",
		"%zz=5":                              "?",
		strings.Repeat("a", 8000) + "=1":     "?" + strings.Repeat("a", maxPointer) + "...",
	} {
		q := parseQuery(raw)
		listing(q)
		e := (*errs.Error)(nil)
		if !errors.As(q.Err(), &e) || e.Kind != errs.Invalid || e.Code != "bad-query" || len(e.Fields) != 1 || e.Fields[0].Pointer != want {
			t.Errorf("%.40q: %v, want a fault of %q", raw, q.Err(), want)
		}
	}
}

func TestEveryFaultOfAQueryIsToldAtOnce(t *testing.T) {
	q := parseQuery("limit=x&sort=y&zz=1&aa=1&" + strings.Repeat("b=1&", 2))
	listing(q)
	e := (*errs.Error)(nil)
	if !errors.As(q.Err(), &e) {
		t.Fatal("accepted")
	}
	var pointers []string
	for _, f := range e.Fields {
		pointers = append(pointers, f.Pointer)
	}
	if want := []string{"?b", "?limit", "?sort", "?aa", "?b", "?zz"}; !slices.Equal(pointers, want) {
		t.Errorf("%v, want %v", pointers, want)
	}
	if !strings.Contains(e.Fields[3].Detail, "brand, limit, sort") {
		t.Errorf("does not name those known: %q", e.Fields[3].Detail)
	}
}

func TestTooManyParametersAreRefused(t *testing.T) {
	var raw []string
	for i := range 1000 {
		raw = append(raw, fmt.Sprintf("a%d=1", i))
	}
	q := parseQuery(strings.Join(raw, "&"))
	if len(q.values) != maxParameters || q.Err() == nil {
		t.Errorf("%d values, %v", len(q.values), q.Err())
	}
}

func TestAScopeIsTheSameForTheSameQuestion(t *testing.T) {
	a := parseQuery("brand=a&sort=price&cursor=1&limit=5").Scope("cursor", "limit")
	b := parseQuery("limit=7&sort=%70rice&brand=a").Scope("cursor", "limit")
	if a != b {
		t.Errorf("%q, %q", a, b)
	}
	for _, other := range []string{"brand=a", "brand=a%26sort=price", "brand=b&sort=price", "brand=a&sort=price&x="} {
		if parseQuery(other).Scope("cursor", "limit") == a {
			t.Errorf("%q has the scope of another question", other)
		}
	}
}

func TestAQueryOfAServer(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/v1/things", func(c *fiber.Ctx) error {
			q := Query(c)
			limit := q.Int("limit", 20, 1, 100)
			if err := q.Err(); err != nil {
				return err
			}
			return c.SendString(fmt.Sprint(limit))
		})
	})
	if a := r.do("GET", "/v1/things?limit=7", nil); string(a.body) != "7" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	p := wantProblem(t, r.do("GET", "/v1/things?page=7", nil), 400, "bad-query")
	if p.Errors[0].Pointer != "?page" || !strings.HasSuffix(p.Errors[0].Detail, "known are limit") || p.Instance != "/v1/things" {
		t.Errorf("%+v", p)
	}
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "limit=5&sort=price", "%zz=%00", "a&a=&=&&", "sku=A,B,,", "brand=%C3%A4+%2B"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q := parseQuery(raw)
		listing(q)
		if limit := q.Int("limit", 20, 1, 100); limit < 1 || limit > 100 {
			t.Errorf("limit %d", limit)
		}
		if q.Scope() != parseQuery(raw).Scope() {
			t.Error("the scope changes")
		}
		_ = q.Err()
	})
}
