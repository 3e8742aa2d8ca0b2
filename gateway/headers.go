package main

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// field is one header line as the client sent it.
type field struct{ name, value []byte }

// splitHeader splits the head of a request into its fields. The server has refused before
// what can be read in two ways. It takes the bytes that came, because fasthttp's parsed header
// forgets what one Connection field names when the next says close.
func splitHeader(fields []field, raw []byte) []field {
	for line := range bytes.Lines(raw) {
		if name, value, ok := bytes.Cut(line, []byte{':'}); ok {
			fields = append(fields, field{name, bytes.Trim(value, " \t\r\n")})
		}
	}
	return fields
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
