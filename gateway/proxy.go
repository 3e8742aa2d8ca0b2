package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"souk/internal/errs"
	"souk/internal/web"
)

// serve answers one request from the service that the table names.
func (g *gateway) serve(c *fiber.Ctx) error {
	x := exchanges.Get().(*proxied) //nolint:errcheck,forcetypeassert // the pool has nothing else
	defer func() {
		if x.events == nil { // else it is the stream's
			x.release()
		}
	}()
	fctx := c.Context()
	path := normalise(x.path[:0], fctx.URI().PathOriginal())
	res := g.table.Load().find(path)
	if res == nil {
		return fiber.ErrNotFound
	}
	r := res.routes[string(fctx.Method())]
	if r == nil {
		c.Set(fiber.HeaderAllow, res.allow)
		return fiber.ErrMethodNotAllowed
	}
	web.SetRoute(c, r.pattern)
	web.SetTimeout(c, r.timeout)
	if !r.public {
		if err := g.tokens.Authorize(c, r.scopes); err != nil {
			g.metrics.request(r, errs.KindOf(err).Status())
			return err
		}
	}
	if err := x.prepare(c, r, path); err != nil {
		return err
	}
	if err := g.forward(x, r); err != nil {
		g.metrics.request(r, errs.KindOf(err).Status())
		return err
	}
	g.metrics.request(r, x.resp.StatusCode())
	x.answer(fctx)
	if x.events != nil {
		return g.stream(c, x, r)
	}
	return nil
}

// proxied is a request on its way, with everything that can be used again.
type proxied struct {
	req    *fasthttp.Request
	resp   *fasthttp.Response
	path   []byte
	fields []field
	named  [][]byte
	tried  []*upstream
	events *events // the answer is a stream; what it reads is x's
}

var exchanges = sync.Pool{New: func() any {
	return &proxied{req: &fasthttp.Request{}, resp: &fasthttp.Response{}, path: make([]byte, 0, 256)}
}}

// maxKept bounds the buffers that wait for their next use.
const maxKept = 64 << 10

func (x *proxied) release() {
	x.req.Reset()
	x.resp.ReleaseBody(maxKept)
	x.resp.Reset()
	clear(x.fields)
	clear(x.named)
	clear(x.tried)
	x.events = nil
	x.fields, x.named, x.tried = x.fields[:0], x.named[:0], x.tried[:0]
	exchanges.Put(x)
}

// prepare builds the request for the service.
func (x *proxied) prepare(c *fiber.Ctx, r *route, path []byte) error {
	fctx := c.Context()
	in, out := &fctx.Request, x.req
	body := in.Body()
	if len(body) > r.bodyLimit {
		return errs.New(errs.TooLarge, "body-too-large", "the body is too large; this path takes %d bytes", r.bodyLimit)
	}
	if len(body) > 0 && (in.Header.IsGet() || in.Header.IsHead()) {
		return errs.New(errs.Invalid, "unexpected-body", "GET and HEAD have no body; send parameters in the query")
	}
	host := in.Header.Host()
	if !bytes.EqualFold(host, fctx.URI().Host()) { // the target has one of its own (RFC 9112, section 3.2.2)
		return errs.New(errs.Invalid, "bad-host", "the Host header and the host in the request's target differ")
	}
	x.fields = splitHeader(x.fields, in.Header.RawHeaders())
	x.named = named(x.named, x.fields)

	h := &out.Header
	h.SetNoDefaultContentType(true)
	for _, f := range x.fields {
		switch {
		case dropped(f.name, x.named):
		case equalName(f.name, "cookie"): // as it is: fasthttp takes the quotes off values, and drops cookies that it does not like
			h.DisableSpecialHeader()
			h.AddBytesKV(f.name, f.value)
			h.EnableSpecialHeader()
		default:
			h.AddBytesKV(f.name, f.value)
		}
	}
	h.Add("X-Request-Id", web.RequestID(c))
	trace := web.Trace(c)
	h.Add("Traceparent", trace.Traceparent())
	if trace.State != "" {
		h.Add("Tracestate", trace.State)
	}
	if ip := web.ClientIP(c); ip != (netip.Addr{}) {
		h.Add(fiber.HeaderXForwardedFor, ip.String())
	}
	h.Add(fiber.HeaderXForwardedProto, web.Scheme(c))
	if len(host) > 0 { // HTTP/1.0 has none
		h.AddBytesV(fiber.HeaderXForwardedHost, host)
	}
	h.Add(fiber.HeaderVia, "1.1 souk-gateway") // RFC 9110, section 7.6.3

	h.SetMethodBytes(in.Header.Method())
	uri := out.URI()
	uri.DisablePathNormalizing = true
	uri.SetScheme("https")
	uri.SetHost(r.service + ".souk.internal")
	if r.document != "" {
		uri.SetPath(r.document)
	} else {
		uri.SetPathBytes(path)
		uri.SetQueryStringBytes(fctx.URI().QueryString())
	}
	out.SetBodyRaw(body)
	return nil
}

// forward calls instances of the service until one has answered, the time is over, or
// another call could do harm.
func (g *gateway) forward(x *proxied, r *route) error {
	deadline := time.Now().Add(r.timeout)
	s := r.backend
	if s.count() == 0 {
		return errs.New(errs.Unavailable, "no-instance", "no instance of the service behind this path is available; try again in a few seconds").
			After(2 * time.Second)
	}
	var last error
	repeats := 0
	for {
		u := s.pick(x.tried)
		if u == nil {
			break
		}
		began := time.Now()
		if r.stream && wantsStream(&x.req.Header) {
			x.events, last = u.streams.call(x.req, x.resp, deadline)
		} else {
			last = u.call(x.req, x.resp, deadline)
		}
		g.metrics.call(r.service, time.Since(began))
		if last == nil {
			return nil
		}
		last = fmt.Errorf("%s at %s: %w", u.instance.ID, u.instance.Address, last)
		why := "unreachable"
		if !errors.Is(last, errNotSent) {
			// Once, and only what may be done twice (RFC 9110, section 9.2.2).
			if why = "broken"; !errors.Is(last, errBroken) || repeats > 0 || !repeatable(&x.req.Header) {
				break
			}
			repeats++
		}
		x.tried = append(x.tried, u)
		g.metrics.retry(r.service, why)
		g.log.Debug("another instance is tried", slog.String("service.target.name", r.service), slog.Any("error", last))
	}
	return g.failure(last, r, &x.req.Header)
}

// repeatable reports whether a request may reach two instances. PUT and DELETE may, unless
// they are conditional: if the first call did the work, the second would be told that
// its version is stale, and the client that its change failed.
func repeatable(h *fasthttp.RequestHeader) bool {
	switch string(h.Method()) {
	case fiber.MethodGet, fiber.MethodHead:
		return true
	case fiber.MethodPut, fiber.MethodDelete:
		return len(h.Peek(fiber.HeaderIfMatch)) == 0 && len(h.Peek(fiber.HeaderIfNoneMatch)) == 0 && len(h.Peek(fiber.HeaderIfUnmodifiedSince)) == 0
	}
	return false
}

func (g *gateway) failure(err error, r *route, h *fasthttp.RequestHeader) error {
	unknown := ""
	if !h.IsGet() && !h.IsHead() {
		unknown = "; it may or may not have taken effect"
	}
	switch {
	case errors.Is(err, errNotSent):
		return errs.New(errs.Unavailable, "unreachable", "no instance of the service behind this path could be reached; try again").After(time.Second).Because(err)
	case errors.Is(err, errTimeout):
		return errs.New(errs.Timeout, "timeout", "the service took longer than %s%s", r.timeout, unknown).After(time.Second).Because(err)
	case errors.Is(err, errAnswer):
		return errs.New(errs.BadGateway, "bad-answer", "the service gave an answer that can't be passed on%s", unknown).Because(err)
	}
	return errs.New(errs.BadGateway, "broken-connection", "the connection to the service broke%s", unknown).Because(err)
}

// answer passes the service's answer on, as it is.
func (x *proxied) answer(fctx *fasthttp.RequestCtx) {
	out := &fctx.Response
	out.SetStatusCode(x.resp.StatusCode())
	copyAnswerHeaders(&out.Header, &x.resp.Header)
	if x.events != nil {
		return
	}
	if x.req.Header.IsHead() {
		if n := x.resp.Header.ContentLength(); n >= 0 && len(x.resp.Header.Peek(fiber.HeaderContentLength)) > 0 {
			out.Header.SetContentLength(n)
		}
		return
	}
	x.resp.SwapBody(out.SwapBody(x.resp.SwapBody(nil)))
}
