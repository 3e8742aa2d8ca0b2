package web

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
)

// The media types of bodies.
const (
	JSONType       = "application/json"
	MergePatchType = "application/merge-patch+json" // RFC 7396
)

// maxDepth is how deep arrays and objects may nest.
const maxDepth = 32

// strict is what the go-json-experiment decoder refuses beyond its defaults, which
// refuse duplicate names, other cases of a name, and invalid UTF-8 already.
var strict = json.JoinOptions(
	json.RejectUnknownMembers(true),
	jsontext.AllowDuplicateNames(false),
	jsontext.AllowInvalidUTF8(false),
	json.MatchCaseInsensitiveNames(false),
)

// JSON reads the body into v, a pointer. The Content-Type must be one of types
// (default: application/json), else the error is errs.UnsupportedMedia; bodies with
// a Content-Encoding do not get this far. The body must be exactly one JSON value; for a struct or
// map, an object. Unknown, duplicate or differently cased names, invalid UTF-8,
// NUL characters, numbers out of range, more than 32 levels and trailing data are
// errs.Invalid with a JSON pointer. Nothing in v refers to the request's buffers.
func JSON(c *fiber.Ctx, v any, types ...string) error {
	if len(types) == 0 {
		types = []string{JSONType}
	}
	if err := checkContentType(c, types); err != nil {
		return err
	}
	return DecodeJSON(c.Request().Body(), v)
}

func checkContentType(c *fiber.Ctx, types []string) error {
	h := &c.Request().Header
	kind, params, err := mime.ParseMediaType(string(h.ContentType()))
	charset, hasCharset := params["charset"]
	if err != nil || !slices.Contains(types, kind) || hasCharset && !strings.EqualFold(charset, "utf-8") {
		want := strings.Join(types, " or ")
		accept := fiber.HeaderAccept
		if c.Method() == http.MethodPatch {
			accept = "Accept-Patch" // RFC 5789, section 2.2
		}
		c.Set(accept, strings.Join(types, ", "))
		return errs.New(errs.UnsupportedMedia, "unsupported-media-type", "the Content-Type must be %s, in UTF-8", want).
			With(errs.Field{Pointer: "header:Content-Type", Detail: "must be " + want})
	}
	return nil
}

// DecodeJSON is JSON for a text from elsewhere, with the same rules and errors.
func DecodeJSON(data []byte, v any) error {
	start := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(start) == 0:
		return errs.New(errs.Invalid, "empty-body", "the body is empty; send a JSON document")
	case wantsObject(v) && start[0] != '{':
		return badJSON("", "must be a JSON object")
	}
	if err := scan(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v, strict); err != nil {
		return explain(data, err)
	}
	return nil
}

// wantsObject reports whether v points to a struct or a map: "null" would leave
// such a v untouched, and nobody would notice.
func wantsObject(v any) bool {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return false
	}
	k := t.Elem().Kind()
	return k == reflect.Struct || k == reflect.Map
}

// scan finds, in one pass and before anything is allocated, what the decoder
// would let pass: deep nesting and NUL characters.
func scan(data []byte) error {
	var depth int
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			end, nul := scanString(data, i+1)
			if nul {
				return locate(data, i, "must not contain the character U+0000")
			}
			i = end
		case '{', '[':
			if depth++; depth > maxDepth {
				return badJSON("", fmt.Sprintf("must not nest deeper than %d levels", maxDepth))
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// scanString returns the index of the string's closing quote, or len(data), and
// whether the escape of NUL is in it. A bare NUL is no JSON; the decoder says so.
func scanString(data []byte, i int) (end int, nul bool) {
	for ; i < len(data); i++ {
		switch data[i] {
		case '"':
			return i, nul
		case '\\':
			i++
			if bytes.HasPrefix(data[min(i, len(data)):], []byte("u0000")) {
				nul = true
			}
		}
	}
	return len(data), nul
}

// locate names the value or member around an offset. It reads the document again,
// which only a refused one costs.
func locate(data []byte, offset int, detail string) error {
	dec := jsontext.NewDecoder(bytes.NewReader(data), strict)
	for {
		if _, err := dec.ReadToken(); err != nil {
			return explain(data, err)
		}
		if dec.InputOffset() > int64(offset) {
			return badJSON(string(dec.StackPointer()), detail)
		}
	}
}
