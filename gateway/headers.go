package main

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"souk/internal/errs"
)

// field is one header line as the client sent it.
type field struct{ name, value []byte }

// parseHeaders splits the head of a request into its fields. It refuses what servers read
// in different ways: folded lines, lines without CR, names that are no token (RFC 9112,
// section 5). It reads the bytes that came, not fasthttp's parsed headers: fields of a
// chunked body's trailer are among those, and must not pass for headers.
func parseHeaders(fields []field, raw []byte) ([]field, error) {
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return nil, badHeader("every line of the header must end with CR LF")
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			break
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 1 || !isToken(line[:colon]) {
			return nil, badHeader("a line of the header has no valid name; continuation lines are not accepted")
		}
		fields = append(fields, field{line[:colon], bytes.Trim(line[colon+1:], " \t")})
	}
	return fields, nil
}

func badHeader(detail string) error {
	return errs.New(errs.Invalid, "bad-header", "%s", detail)
}

// isToken: RFC 9110, section 5.6.2.
func isToken(b []byte) bool {
	return len(b) > 0 && !bytes.ContainsFunc(b, func(c rune) bool { return !alphanumeric(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", c) })
}

// isHost: a name, an IPv4 or a bracketed IPv6 address, with an optional port. Nothing else
// goes into X-Forwarded-Host.
func isHost(b []byte) bool {
	return len(b) > 0 && !bytes.ContainsFunc(b, func(c rune) bool { return !alphanumeric(c) && !strings.ContainsRune(".-_:[]", c) })
}

func alphanumeric(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// hopByHop are fields of one connection (RFC 9110, section 7.6.1), and those that the
// gateway writes itself because its own connection needs them.
var hopByHop = []string{
	"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "proxy-authentication-info",
	"te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "content-length", "host", "expect", "max-forwards",
}

// spoofable are fields that services believe because only the gateway can have set them,
// or that would make a service see another request than the gateway routed.
var spoofable = []string{
	"forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip",
	"x-request-id", "traceparent", "tracestate",
	"x-original-url", "x-rewrite-url", "x-http-method", "x-http-method-override", "x-method-override",
}

var spoofablePrefixes = []string{"x-forwarded-", "x-souk-"}

// dropped reports whether a client's field stays here. Some servers read _ in a name as -,
// so both count as one.
func dropped(name []byte, named [][]byte) bool {
	for _, h := range hopByHop {
		if equalName(name, h) {
			return true
		}
	}
	for _, h := range spoofable {
		if equalName(name, h) {
			return true
		}
	}
	for _, p := range spoofablePrefixes {
		if len(name) >= len(p) && equalName(name[:len(p)], p) {
			return true
		}
	}
	for _, n := range named {
		if bytes.EqualFold(name, n) {
			return true
		}
	}
	return false
}

// equalName compares with a name in lower case.
func equalName(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case c == '_':
			c = '-'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// named are the fields that Connection names.
func named(dst [][]byte, fields []field) [][]byte {
	for _, f := range fields {
		if !equalName(f.name, "connection") {
			continue
		}
		for token := range bytes.SplitSeq(f.value, []byte{','}) {
			if token = bytes.Trim(token, " \t"); len(token) > 0 {
				dst = append(dst, token)
			}
		}
	}
	return dst
}

// copyAnswerHeaders gives the client the service's header, except fields of the upstream
// connection and those that are the gateway's to set. What the gateway has set already
// stays, Vary is joined.
func copyAnswerHeaders(dst, src *fasthttp.ResponseHeader) {
	connection := src.PeekAll(fasthttp.HeaderConnection)
	for key, value := range src.All() {
		switch string(key) {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info", "Te", "Trailer",
			"Transfer-Encoding", "Upgrade", "Content-Length", "Server", "Date", "X-Request-Id", "Via":
			continue
		}
		if bytes.HasPrefix(key, []byte("Access-Control-")) || bytes.HasPrefix(key, []byte("X-Souk-")) || isListed(key, connection) {
			continue
		}
		dst.AddBytesKV(key, value)
	}
}

func isListed(key []byte, lists [][]byte) bool {
	for _, list := range lists {
		for token := range bytes.SplitSeq(list, []byte{','}) {
			if bytes.EqualFold(bytes.Trim(token, " \t"), key) {
				return true
			}
		}
	}
	return false
}
