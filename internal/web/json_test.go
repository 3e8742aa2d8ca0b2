package web

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/money"
)

// product has a field of each kind that services use.
type product struct {
	Title  string            `json:"title"`
	Count  int               `json:"count"`
	Small  int8              `json:"small"`
	Size   uint32            `json:"size"`
	Ratio  float64           `json:"ratio"`
	On     bool              `json:"on"`
	Tags   []string          `json:"tags"`
	Labels map[string]string `json:"labels"`
	Price  money.Amount      `json:"price"`
	Was    *money.Amount     `json:"was"`
	Inner  *product          `json:"inner"`
	Made   time.Time         `json:"made"`
	Raw    jsontext.Value    `json:"raw"`
	Any    any               `json:"any"`
}

func TestBadJSONIsRefusedWithAPointer(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct{ name, body, pointer, detail string }{
		{"unknown name", `{"titel":"a"}`, "/titel", "not a known member"},
		{"other case", `{"Title":"a"}`, "/Title", "not a known member"},
		{"Go name of a private field", `{"private":1}`, "/private", "not a known member"},
		{"unknown inside", `{"inner":{"inner":{"x":1}}}`, "/inner/inner/x", "not a known member"},
		{"unknown, empty", `{"":1}`, "/", "not a known member"},
		{"unknown with slash and tilde", `{"a/b~c":1}`, "/a~1b~0c", "not a known member"},
		{"prototype", `{"__proto__":{"admin":true}}`, "/__proto__", "not a known member"},
		{"duplicate", `{"title":"a","title":"b"}`, "/title", "more than once"},
		{"duplicate by escape", `{"title":"a","t\u0069tle":"b"}`, "/title", "more than once"},
		{"duplicate inside a raw value", `{"raw":{"a":1,"a":2}}`, "/raw/a", "more than once"},
		{"duplicate inside any", `{"any":[{"a":1,"a":2}]}`, "/any/0/a", "more than once"},
		{"duplicate in a map", `{"labels":{"a":"1","a":"2"}}`, "/labels/a", "more than once"},
		{"trailing document", `{"title":"a"}{"title":"b"}`, "", "not valid JSON at byte 13"},
		{"trailing garbage", `{"a":1}garbage`, "/a", "not a known member"},
		{"trailing garbage, known", `{"count":1}garbage`, "", "not valid JSON at byte 11"},
		{"trailing comma", `{"count":1,}`, "", "not valid JSON"},
		{"trailing NUL byte", "{\"count\":1}\x00", "", "not valid JSON"},
		{"comment", `{"count":1/*x*/}`, "", "not valid JSON"},
		{"single quotes", `{'count':1}`, "", "not valid JSON"},
		{"byte order mark", "\ufeff{}", "", "must be a JSON object"},
		{"cut off", `{"title":"a`, "/title", "ends early"},
		{"cut in an escape", `{"title":"a\`, "/title", "ends early"},
		{"cut in a unicode escape", `{"title":"\u00`, "/title", "ends early"},
		{"not an object", `[]`, "", "must be a JSON object"},
		{"null", `null`, "", "must be a JSON object"},
		{"a string", `"a"`, "", "must be a JSON object"},
		{"invalid UTF-8", "{\"title\":\"\xff\"}", "/title", "UTF-8"},
		{"invalid UTF-8 in a name", "{\"\xc3\":1}", "", "UTF-8"},
		{"overlong UTF-8", "{\"title\":\"\xc0\xaf\"}", "/title", "UTF-8"},
		{"lone surrogate", `{"title":"\ud800"}`, "/title", "not valid JSON"},
		{"lone surrogate in a raw value", `{"raw":"\udc00"}`, "/raw", "not valid JSON"},
		{"NUL escape", `{"title":"a\u0000b"}`, "/title", "U+0000"},
		{"NUL escape in a name", `{"labels":{"a\u0000":"x"}}`, "/labels/a\x00", "U+0000"},
		{"NUL escape in a raw value", `{"raw":[1,{"a":"\u0000"}]}`, "/raw/1/a", "U+0000"},
		{"NUL byte", "{\"title\":\"\x00\"}", "/title", "not valid JSON"},
		{"control character", "{\"title\":\"\n\"}", "/title", "not valid JSON"},
		{"33 levels", `{"any":` + deep(32) + `}`, "", "deeper than 32"},
		{"10,000 levels", `{"any":` + deep(10000) + `}`, "", "deeper than 32"},
		{"10,000 levels, open", `{"any":` + strings.Repeat(`{"a":[`, 5000), "", "deeper than 32"},
		{"1e400 as float", `{"ratio":1e400}`, "/ratio", "must be a number that fits"},
		{"-1e400 as float", `{"ratio":-1e400}`, "/ratio", "must be a number that fits"},
		{"1e400 as any", `{"any":1e400}`, "/any", ""},
		{"2^63", `{"count":9223372036854775808}`, "/count", "must be an integer between -9223372036854775808 and 9223372036854775807"},
		{"fraction", `{"count":1.5}`, "/count", "must be an integer"},
		{"fraction of zero", `{"count":1.0}`, "/count", "must be an integer"},
		{"exponent", `{"count":1e2}`, "/count", "must be an integer"},
		{"128 in 8 bits", `{"small":128}`, "/small", "between -128 and 127"},
		{"negative unsigned", `{"size":-1}`, "/size", "between 0 and 4294967295"},
		{"leading zero", `{"count":01}`, "", "not valid JSON"},
		{"NaN", `{"ratio":NaN}`, "/ratio", "not valid JSON"},
		{"Infinity", `{"ratio":Infinity}`, "/ratio", "not valid JSON"},
		{"number as string", `{"count":"1"}`, "/count", "must be an integer"},
		{"string as number", `{"title":1}`, "/title", "must be a string"},
		{"object as string", `{"title":{"$ne":null}}`, "/title", "must be a string"},
		{"string as bool", `{"on":"true"}`, "/on", "must be true or false"},
		{"object as array", `{"tags":{}}`, "/tags", "must be an array"},
		{"number in an array", `{"tags":["a",1]}`, "/tags/1", "must be a string"},
		{"array as map", `{"labels":[]}`, "/labels", "must be an object"},
		{"no time", `{"made":"yesterday"}`, "/made", "RFC 3339"},
		{"price without currency", `{"price":{"amount":1}}`, "/price/currency", "ISO 4217"},
		{"price without amount", `{"price":{"currency":"EUR"}}`, "/price/amount", "integer"},
		{"price null", `{"price":null}`, "/price/amount", "integer"},
		{"price with a fraction", `{"price":{"amount":1.5,"currency":"EUR"}}`, "/price/amount", "must be an integer"},
		{"price with more", `{"price":{"amount":1,"currency":"EUR","x":1}}`, "/price/x", "not a known member"},
		{"price as a number", `{"price":12.9}`, "/price", "must be an object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v product
			e := (*errs.Error)(nil)
			if err := DecodeJSON([]byte(c.body), &v); !errors.As(err, &e) {
				t.Fatalf("accepted, or not an errs.Error: %v, %+v", err, v)
			}
			if e.Kind != errs.Invalid || len(e.Fields) != 1 || e.Fields[0].Pointer != c.pointer || !strings.Contains(e.Fields[0].Detail, c.detail) {
				t.Errorf("%v %s %+v, want %q %q", e.Kind, e.Code, e.Fields, c.pointer, c.detail)
			}
			if strings.Contains(fmt.Sprint(e.Fields, e.Detail), "Go ") {
				t.Errorf("speaks of Go: %v", e.Fields)
			}
		})
	}
}

func TestATypesOwnRuleKeepsItsKindAndCode(t *testing.T) {
	for body, want := range map[string]string{
		`{"price":{"amount":9007199254740992,"currency":"EUR"}}`: "amount-out-of-range /price/amount",
		`{"was":{"amount":1,"currency":"eur"}}`:                  "bad-currency /was/currency",
	} {
		var v product
		e := (*errs.Error)(nil)
		if err := DecodeJSON([]byte(body), &v); !errors.As(err, &e) || e.Kind != errs.Unprocessable || e.Code+" "+e.Fields[0].Pointer != want {
			t.Errorf("%s: %v", body, e)
		}
	}
}

func TestGoodJSONIsRead(t *testing.T) {
	body := " \r\n\t{\"title\":\"\\u00e4\\\\u0000 \\ud83d\\ude00\",\"count\":-0,\"small\":-128,\"ratio\":1e3,\"on\":true,\"tags\":[],\"labels\":{\"a\":\"b\"}," +
		`"price":{"currency":"EUR","amount":1290},"was":null,"inner":{"title":"[[{{\"}}"},"made":"2026-01-02T03:04:05Z","raw":{"a":[1]},"any":` +
		strings.Repeat("[", 31) + strings.Repeat("]", 31) + "}\n"
	var v product
	if err := DecodeJSON([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	if v.Title != `ä\u0000 😀` || v.Price != (money.Amount{Minor: 1290, Currency: "EUR"}) || v.Was != nil || v.Inner.Title != `[[{{"}}` || v.Ratio != 1000 || string(v.Raw) != `{"a":[1]}` {
		t.Errorf("%+v", v)
	}
}

func TestAHugeNameIsCutInTheProblem(t *testing.T) {
	var v product
	e := (*errs.Error)(nil)
	if err := DecodeJSON([]byte(`{"`+strings.Repeat("ä", 100000)+`":1}`), &v); !errors.As(err, &e) || len(e.Fields[0].Pointer) > maxPointer+3 {
		t.Errorf("%v", err)
	}
}

func TestTheContentTypeAndCodingDecideWhetherABodyIsRead(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		probeRoutes(app)
		app.Patch("/v1/things", func(c *fiber.Ctx) error {
			var v map[string]jsontext.Value
			if err := JSON(c, &v, MergePatchType); err != nil {
				return err
			}
			return Send(c, 200, v)
		})
	})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.CopyN(z, zeros{}, 50<<20) // 50 MB in 50 kB
	_ = z.Close()
	for _, c := range []struct {
		name, method, body string
		headers            []string
		status             int
		code               string
	}{
		{"none", "POST", `{"a":1}`, nil, 415, "unsupported-media-type"},
		{"text", "POST", `{"a":1}`, []string{"Content-Type: text/plain"}, 415, "unsupported-media-type"},
		{"form", "POST", `a=1`, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "unsupported-media-type"},
		{"multipart", "POST", "--x--", []string{"Content-Type: multipart/form-data; boundary=x"}, 415, "unsupported-media-type"},
		{"merge patch", "POST", `{"a":1}`, []string{"Content-Type: application/merge-patch+json"}, 415, "unsupported-media-type"},
		{"latin-1", "POST", `{"a":1}`, []string{"Content-Type: application/json; charset=iso-8859-1"}, 415, "unsupported-media-type"},
		{"malformed", "POST", `{"a":1}`, []string{"Content-Type: application/json; ="}, 415, "unsupported-media-type"},
		{"two in one", "POST", `{"a":1}`, []string{"Content-Type: application/json, text/plain"}, 415, "unsupported-media-type"},
		{"JSON for a patch", "PATCH", `{"a":1}`, []string{"Content-Type: application/json"}, 415, "unsupported-media-type"},
		{"gzip bomb", "POST", zipped.String(), []string{"Content-Type: application/json", "Content-Encoding: gzip"}, 415, "unsupported-encoding"},
		{"identity and gzip", "POST", `{"a":1}`, []string{"Content-Type: application/json", "Content-Encoding: identity, gzip"}, 415, "unsupported-encoding"},
		{"gzip without saying so", "POST", zipped.String(), []string{"Content-Type: application/json"}, 400, "bad-json"},
		{"empty", "POST", "", []string{"Content-Type: application/json"}, 400, "empty-body"},
		{"blank", "POST", " \n", []string{"Content-Type: application/json"}, 400, "empty-body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := *r
			rt.t = t
			a := rt.do(c.method, "/v1/things", strings.NewReader(c.body), c.headers...)
			wantProblem(t, a, c.status, c.code)
			switch accept := a.Header.Get("Accept") + a.Header.Get("Accept-Patch") + a.Header.Get("Accept-Encoding"); {
			case c.status != 415 && accept != "":
				t.Errorf("Accept headers: %q", accept)
			case c.status == 415 && accept == "":
				t.Error("a 415 that does not say what is accepted")
			}
		})
	}
	for _, good := range []string{"application/json", "application/json;charset=utf-8", "APPLICATION/JSON ; charset=UTF-8"} {
		if a := r.do("POST", "/v1/things", strings.NewReader(`{"a":1}`), "Content-Type: "+good, "Content-Encoding: identity"); a.StatusCode != 200 {
			t.Errorf("%s: %d %s", good, a.StatusCode, a.body)
		}
	}
	if a := r.do("PATCH", "/v1/things", strings.NewReader(`{"a":null}`), "Content-Type: application/merge-patch+json"); string(a.body) != `{"a":null}` {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{"title":"a","count":1,"price":{"amount":1,"currency":"EUR"}}`, `{"title":"\u0000"}`, `{"a":`, `{"any":[[[[]]]]}`, "{\"title\":\"\xff\"}",
		`{"count":1e400}`, `{"raw":{"a":1,"a":2}}`, `{"inner":{"inner":null}}`, `{"title":"\ud800"}`, `{"was":{}}`, `{"made":"2026-01-02T03:04:05Z"}`, "\ufeff{}", `"\`, `{"title":"\`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v product
		err := DecodeJSON(data, &v)
		if err == nil {
			if !jsontext.Value(data).IsValid() {
				t.Errorf("accepted %q", data)
			}
			if strings.ContainsRune(v.Title, 0) {
				t.Errorf("NUL in %q", v.Title)
			}
			return
		}
		if e := (*errs.Error)(nil); !errors.As(err, &e) || e.Kind == errs.Internal || e.Code == "" || len(e.Fields) > 1 {
			t.Errorf("%q: %#v", data, err)
		}
	})
}
