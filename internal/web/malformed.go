package web

import (
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/valyala/fasthttp"
)

// malformed answers what fasthttp could not read as a request. The connection is
// closed after it, as nobody knows where the next request would start.
func (s *Server) malformed(fctx *fasthttp.RequestCtx, err error) {
	r := s.begin(fctx)
	if len(fctx.Request.Header.RawHeaders()) == 0 { // nothing was read; fasthttp says GET /
		r.method, r.path = "", ""
	}
	f := s.faultOf(fctx, err)
	f.close = true
	if c := connOf(fctx); c != nil {
		c.unread.Store(true)
	}
	if s.metrics != nil {
		s.metrics.Start()
		s.metrics.Refused(f.code)
	}
	fctx.Response.Reset()
	s.fail(fctx, r, f)
	r.route = routeMalformed
	s.end(fctx, r)
}

// routeMalformed stands for the route of what is not a request.
const routeMalformed = "malformed"

func (s *Server) faultOf(fctx *fasthttp.RequestCtx, err error) *fault {
	var (
		small   *fasthttp.ErrSmallBuffer
		timeout net.Error
	)
	switch {
	case errors.As(err, &small):
		if c := connOf(fctx); c != nil && c.lineTooLong() {
			return uriTooLong()
		}
		return &fault{status: http.StatusRequestHeaderFieldsTooLarge, code: "header-too-large", detail: "the headers are too large; send fewer or shorter ones"}
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		// The length of a chunked body is not known; while memory is short, the
		// better guess is that another time it would do.
		if n := fctx.Request.Header.ContentLength(); n > 0 && n <= s.opts.BodyLimit || n <= 0 && s.bodyShare() < s.opts.BodyLimit {
			return overloaded()
		}
		return &fault{status: http.StatusRequestEntityTooLarge, code: "body-too-large", detail: "the body is too large"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &fault{status: http.StatusRequestTimeout, code: "request-timeout", detail: "the request took too long to arrive"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &fault{status: http.StatusBadRequest, code: "incomplete-request", detail: "the request ended early"}
	case errors.Is(err, fasthttp.ErrUnsupportedTransferEncoding):
		return &fault{status: http.StatusNotImplemented, code: "transfer-encoding-not-implemented", detail: "send Content-Length or Transfer-Encoding: chunked"}
	case errors.Is(err, fasthttp.ErrUnsupportedRequestMethod):
		return &fault{status: http.StatusNotImplemented, code: "method-not-implemented", detail: "this server does not implement the method"}
	}
	return badRequest("bad-request", "this is not a well-formed HTTP/1.1 request")
}
