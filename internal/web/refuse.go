package web

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// refuse turns away what no handler should see. A nil answer means: go on.
func (s *Server) refuse(fctx *fasthttp.RequestCtx, busy int64) *fault {
	h := &fctx.Request.Header
	if f := framing(h); f != nil {
		return f
	}
	if len(h.RequestURI()) > s.opts.URLLimit {
		return uriTooLong()
	}
	switch string(h.Method()) {
	case fiber.MethodGet, fiber.MethodHead, fiber.MethodPost, fiber.MethodPut, fiber.MethodPatch,
		fiber.MethodDelete, fiber.MethodOptions:
	default: // TRACE and CONNECT too: nothing of ours has them (RFC 9110, section 15.6.2)
		return &fault{status: http.StatusNotImplemented, code: "method-not-implemented", detail: "this server does not implement the method"}
	}
	if bytes.IndexByte(h.RequestURI(), '#') >= 0 {
		return badPath("it has a fragment")
	}
	if !validHost(h.Host()) {
		return badRequest("bad-host", "the Host header must be a name or address, with or without a port")
	}
	if f := checkPath(fctx.URI().PathOriginal()); f != nil {
		return f
	}
	if f := coding(fctx); f != nil {
		return f
	}
	if busy > int64(s.opts.Concurrency) {
		return overloaded()
	}
	return nil
}

// framing refuses requests whose parts another server may see elsewhere, which is
// what request smuggling lives on (RFC 9112, sections 2.2, 5.2, 6.1 and 7.1.2).
// fasthttp has refused repeated and malformed lengths already. It lets pass bare
// line feeds, folded lines, spaces in names, a Content-Length beside chunked, and "Transfer-Encoding:
// identity", which does not exist any more; and it makes trailers into headers.
func framing(h *fasthttp.RequestHeader) *fault {
	switch string(h.Protocol()) {
	case "HTTP/1.1", "HTTP/1.0":
	default:
		return &fault{status: http.StatusHTTPVersionNotSupported, code: "http-version-not-supported", detail: "use HTTP/1.1", close: true}
	}
	var length, encoding, chunked bool
	for line := range bytes.SplitAfterSeq(h.RawHeaders(), []byte{'\n'}) {
		if len(line) == 0 || string(line) == "\r\n" {
			break
		}
		if !bytes.HasSuffix(line, []byte("\r\n")) || line[0] == ' ' || line[0] == '\t' {
			return badRequest("bad-header", "header lines must end in CRLF and not be folded")
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 || bytes.IndexByte(line[:colon], ' ') >= 0 {
			return badRequest("bad-header", "header names must have no spaces")
		}
		switch colon {
		case len(fiber.HeaderContentLength):
			length = length || bytes.EqualFold(line[:colon], []byte(fiber.HeaderContentLength))
		case len(fiber.HeaderTransferEncoding):
			if bytes.EqualFold(line[:colon], []byte(fiber.HeaderTransferEncoding)) {
				encoding = true
				chunked = bytes.EqualFold(bytes.TrimSpace(line[colon+1:]), []byte("chunked"))
			}
		}
	}
	switch {
	case encoding && (length || !chunked):
		return badRequest("bad-framing", "send either Content-Length or Transfer-Encoding: chunked")
	case chunked && hasTrailer(h):
		return badRequest("trailer-not-accepted", "send no trailer fields after the body")
	}
	return nil
}

// hasTrailer reports headers that did not come in the header block. A proxy that
// checks or sets X-Forwarded-For, say, does not look at trailers.
func hasTrailer(h *fasthttp.RequestHeader) bool {
	sent := map[string]int{}
	for line := range bytes.SplitSeq(h.RawHeaders(), []byte{'\n'}) {
		if name, _, ok := bytes.Cut(line, []byte{':'}); ok {
			sent[strings.ToLower(string(name))]++
		}
	}
	for name := range h.All() {
		lower := strings.ToLower(string(name))
		if lower == "content-length" || lower == "connection" {
			continue // fasthttp makes these up, and refuses them as trailers
		}
		if sent[lower]--; sent[lower] < 0 {
			return true
		}
	}
	return false
}

// validHost accepts the characters of names, addresses and ports, so that the Host
// may be passed on or shown. HTTP/1.0 has none.
func validHost(host []byte) bool {
	for _, c := range host {
		if !alphanumeric(c) && strings.IndexByte("-._~:[]", c) < 0 {
			return false
		}
	}
	return len(host) <= maxHost
}

// maxHost is a DNS name's longest, with a port.
const maxHost = 253 + len(":65535")

// coding refuses encoded bodies: nothing here takes them, and Fiber's c.Body would
// unpack a bomb.
func coding(fctx *fasthttp.RequestCtx) *fault {
	for _, c := range fctx.Request.Header.PeekAll(fiber.HeaderContentEncoding) {
		if !bytes.EqualFold(bytes.TrimSpace(c), []byte("identity")) {
			fctx.Response.Header.Set(fiber.HeaderAcceptEncoding, "identity") // RFC 9110, section 15.5.16
			return &fault{status: http.StatusUnsupportedMediaType, code: "unsupported-encoding", detail: "send the body without Content-Encoding"}
		}
	}
	return nil
}

func badRequest(code, detail string) *fault {
	return &fault{status: http.StatusBadRequest, code: code, detail: detail, close: true}
}

func uriTooLong() *fault {
	return &fault{status: http.StatusRequestURITooLong, code: "uri-too-long", detail: "the path and query are too long"}
}

func overloaded() *fault {
	return &fault{status: http.StatusServiceUnavailable, code: "overloaded", detail: "too many requests are being answered; try again", after: time.Second}
}
