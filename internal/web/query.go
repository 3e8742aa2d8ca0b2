package web

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
)

const (
	maxParameters = 64   // different parameters in one query
	maxText       = 1024 // bytes of a text value, unless the getter says otherwise
)

// QueryReader reads a query strictly: a parameter that no getter asked for, or one
// that comes twice, is an error, so that a misspelt filter is not a missing one.
// The getters return the default for what is missing or wrong; Err tells.
type QueryReader struct {
	values map[string]string
	known  []string
	faults []errs.Field
}

// Query reads the request's query. Ask for every parameter the route knows, then
// check Err before using any value.
func Query(c *fiber.Ctx) *QueryReader {
	return parseQuery(string(c.Request().URI().QueryString()))
}

func parseQuery(raw string) *QueryReader {
	q := &QueryReader{values: map[string]string{}}
	if raw == "" {
		return q
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, nameOK := unescape(name)
		value, valueOK := unescape(value)
		_, repeated := q.values[name]
		switch {
		case len(q.values) == maxParameters:
			q.fault("?", "has too many parameters")
			return q
		case !nameOK || name == "":
			q.fault("?", "has a malformed name")
		case !valueOK:
			q.fault("?"+short(name), "must be percent-encoded UTF-8 without control characters")
			q.values[name] = ""
		case repeated:
			q.fault("?"+short(name), "must be given once")
		default:
			q.values[name] = value
		}
	}
	return q
}

func unescape(text string) (string, bool) {
	plain, err := url.QueryUnescape(text)
	if err != nil || !utf8.ValidString(plain) || strings.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", false
	}
	return plain, true
}

func short(name string) string { return cutPointer(name) }

func (q *QueryReader) fault(pointer, detail string) {
	q.faults = append(q.faults, errs.Field{Pointer: pointer, Detail: detail})
}

func (q *QueryReader) take(name string) (string, bool) {
	q.known = append(q.known, name)
	v, ok := q.values[name]
	return v, ok
}

// Has reports whether the parameter was given, be it empty. It counts as asking.
func (q *QueryReader) Has(name string) bool {
	_, ok := q.take(name)
	return ok
}

// String is a text of at most 1024 bytes.
func (q *QueryReader) String(name, def string) string {
	v, ok := q.take(name)
	switch {
	case !ok:
		return def
	case len(v) > maxText:
		q.fault("?"+name, fmt.Sprintf("must have at most %d bytes", maxText))
		return def
	}
	return v
}

// Int is a decimal integer within [low, high].
func (q *QueryReader) Int(name string, def, low, high int64) int64 {
	v, ok := q.take(name)
	if !ok {
		return def
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < low || n > high || v[0] == '+' {
		q.fault("?"+name, fmt.Sprintf("must be an integer between %d and %d", low, high))
		return def
	}
	return n
}

// Enum is one of the allowed texts.
func (q *QueryReader) Enum(name, def string, allowed ...string) string {
	v, ok := q.take(name)
	if !ok {
		return def
	}
	if !slices.Contains(allowed, v) {
		q.fault("?"+name, "must be one of "+strings.Join(allowed, ", "))
		return def
	}
	return v
}

// Bool is true or false.
func (q *QueryReader) Bool(name string, def bool) bool {
	v, ok := q.take(name)
	switch {
	case !ok:
		return def
	case v == "true":
		return true
	case v != "false":
		q.fault("?"+name, "must be true or false")
		return def
	}
	return false
}

// List is a comma-separated list of 1 to most texts, none empty; nil if not given.
func (q *QueryReader) List(name string, most int) []string {
	v, ok := q.take(name)
	if !ok {
		return nil
	}
	list := strings.Split(v, ",")
	if len(list) > most || slices.Contains(list, "") {
		q.fault("?"+name, fmt.Sprintf("must be a comma-separated list of 1 to %d texts", most))
		return nil
	}
	return list
}

// Scope is a text that is the same for all queries that ask for the same thing:
// every parameter and value, sorted, without those excepted. It binds a cursor to
// its filters: Scope("cursor", "limit").
func (q *QueryReader) Scope(except ...string) string {
	v := url.Values{}
	for name, value := range q.values {
		if !slices.Contains(except, name) {
			v.Set(name, value)
		}
	}
	return v.Encode()
}

// Err is nil, or errs.Invalid with every fault, unknown parameters included.
func (q *QueryReader) Err() error {
	faults := slices.Clone(q.faults)
	var unknown []string
	for name := range q.values {
		if !slices.Contains(q.known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		detail := "is not known here; there are no parameters"
		if len(q.known) > 0 {
			detail = "is not known here; known are " + strings.Join(q.known, ", ")
		}
		faults = append(faults, errs.Field{Pointer: "?" + short(name), Detail: detail})
	}
	if len(faults) == 0 {
		return nil
	}
	return errs.New(errs.Invalid, "bad-query", "the query has parameters that are not accepted").With(faults...)
}
