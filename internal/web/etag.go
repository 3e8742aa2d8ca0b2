package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
)

// ETag sets the strong entity tag of a version: "7" (RFC 9110, section 8.8.3).
func ETag(c *fiber.Ctx, version int64) {
	c.Set(fiber.HeaderETag, `"`+strconv.FormatInt(version, 10)+`"`)
}

// Match is what If-Match allows.
type Match struct {
	any      bool
	versions []int64
}

// Any reports whether any version will do: "If-Match: *".
func (m Match) Any() bool { return m.any }

// Allows reports whether the resource may be changed in this version.
func (m Match) Allows(version int64) bool { return m.any || slices.Contains(m.versions, version) }

// IfMatchSet reads If-Match: a list of entity tags or "*" (RFC 9110, section
// 13.1.1). Weak tags never match, nor do tags that are no version of ours; a list
// with nothing else allows nothing. Missing is errs.PreconditionRequired,
// malformed errs.Invalid.
func IfMatchSet(c *fiber.Ctx) (Match, error) {
	text, ok := headerList(c, fiber.HeaderIfMatch)
	if !ok {
		return Match{}, errs.New(errs.PreconditionRequired, "if-match-required", "send If-Match with the ETag of the version you have read").
			With(errs.Field{Pointer: "header:If-Match", Detail: "is required"})
	}
	if text == "*" {
		return Match{any: true}, nil
	}
	tags, ok := parseTags(text)
	if !ok {
		return Match{}, errs.New(errs.Invalid, "bad-if-match", "If-Match must be an ETag as it was given, quotes included").
			With(errs.Field{Pointer: "header:If-Match", Detail: `must look like "7"`})
	}
	var m Match
	for _, t := range tags {
		if v, ok := t.version(); ok && !t.weak {
			m.versions = append(m.versions, v)
		}
	}
	return m, nil
}

// AnyVersion is IfMatch's answer to "*".
const AnyVersion int64 = -1

// IfMatch is IfMatchSet for handlers that pass one version to their store:
// AnyVersion for "*"; errs.PreconditionFailed when nothing can match; errs.Invalid
// for a list that allows several versions, which such a handler can't honour.
func IfMatch(c *fiber.Ctx) (int64, error) {
	m, err := IfMatchSet(c)
	if err != nil {
		return 0, err
	}
	if m.any {
		return AnyVersion, nil
	}
	slices.Sort(m.versions)
	switch m.versions = slices.Compact(m.versions); len(m.versions) {
	case 0:
		return 0, StaleVersion()
	case 1:
		return m.versions[0], nil
	}
	return 0, errs.New(errs.Invalid, "bad-if-match", "If-Match must name one version here").
		With(errs.Field{Pointer: "header:If-Match", Detail: "must be one ETag"})
}

// StaleVersion is the answer to an If-Match of another version than the current.
func StaleVersion() *errs.Error {
	return errs.New(errs.PreconditionFailed, "stale-version", "it has changed since you read it; read it again").
		With(errs.Field{Pointer: "header:If-Match", Detail: "is not the current version"})
}

// NotModified sets the ETag, and if the client has this version already
// (If-None-Match, RFC 9110, section 13.1.2) the status 304, and reports that; the
// handler then returns without a body. A malformed header counts as none.
func NotModified(c *fiber.Ctx, version int64) bool {
	ETag(c, version)
	text, ok := headerList(c, fiber.HeaderIfNoneMatch)
	if !ok || c.Method() != http.MethodGet && c.Method() != http.MethodHead {
		return false
	}
	match := text == "*"
	if tags, ok := parseTags(text); ok {
		for _, t := range tags {
			if v, ok := t.version(); ok && v == version { // weak comparison: W/ does not matter
				match = true
			}
		}
	}
	if match {
		c.Status(http.StatusNotModified)
	}
	return match
}

// headerList joins the lines of a header that is a list.
func headerList(c *fiber.Ctx, name string) (string, bool) {
	var lines []string
	for _, line := range c.Request().Header.PeekAll(name) {
		lines = append(lines, string(line))
	}
	return strings.TrimSpace(strings.Join(lines, ",")), len(lines) > 0
}

type entityTag struct {
	weak   bool
	opaque string
}

// version is the tag's version if ETag could have written it.
func (t entityTag) version() (int64, bool) {
	v, err := strconv.ParseInt(t.opaque, 10, 64)
	return v, err == nil && v >= 0 && strconv.FormatInt(v, 10) == t.opaque
}

// parseTags reads 1#entity-tag (RFC 9110, section 8.8.3): empty list elements are
// skipped, as section 5.6.1 asks of readers.
func parseTags(text string) (tags []entityTag, ok bool) {
	for {
		text = strings.TrimLeft(text, " \t,")
		if text == "" {
			return tags, len(tags) > 0
		}
		var t entityTag
		text, t.weak = strings.CutPrefix(text, "W/") // case matters
		rest, quoted := strings.CutPrefix(text, `"`)
		end := strings.IndexByte(rest, '"')
		if !quoted || end < 0 {
			return nil, false
		}
		t.opaque, text = rest[:end], strings.TrimLeft(rest[end+1:], " \t")
		for i := range len(t.opaque) {
			if c := t.opaque[i]; c <= ' ' || c == 0x7f {
				return nil, false
			}
		}
		if text != "" && text[0] != ',' {
			return nil, false
		}
		tags = append(tags, t)
	}
}
