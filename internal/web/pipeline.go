package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// handle is what every well-formed request goes through, on its connection's own
// goroutine: a handler never runs in another one, so Fiber's recycled contexts
// are never used after their time.
func (s *Server) handle(fctx *fasthttp.RequestCtx) {
	r := s.begin(fctx)
	busy := s.active.Add(1)
	if s.metrics != nil {
		s.metrics.Start()
	}
	watch(fctx, r)
	defer func() {
		if p := recover(); p != nil {
			r.stack = debug.Stack()
			if s.metrics != nil {
				s.metrics.Panicked()
			}
			s.fail(fctx, r, fmt.Errorf("panic: %v", p))
		}
		if r.cancel != nil {
			r.cancel()
		}
		if !unwatch(fctx) {
			s.fail(fctx, r, errors.Join(errOvertaken, context.DeadlineExceeded)) // for the log
		}
		s.active.Add(-1)
		s.end(fctx, r)
	}()
	if err := s.refuse(fctx, busy); err != nil {
		s.fail(fctx, r, err)
		return
	}
	if r.path == "*" && r.method == fiber.MethodOptions { // a ping (RFC 9110, section 9.3.7)
		fctx.SetStatusCode(http.StatusNoContent)
		return
	}
	s.router(fctx)
}

// route is Fiber's first handler: it learns which route was taken.
func (s *Server) route(c *fiber.Ctx) error {
	r := requestOf(c.Context())
	own := c.Route()
	defer func() {
		if taken := c.Route(); taken != own && r.route == "" {
			r.route = taken.Path
		}
	}()
	err := c.Next()
	if fe := (*fiber.Error)(nil); errors.As(err, &fe) {
		return s.unrouted(c, r, fe)
	}
	return err
}

// unrouted answers OPTIONS and gives 405 its whole Allow header, which Fiber
// fills with the methods that have a route.
func (s *Server) unrouted(c *fiber.Ctx, r *request, err *fiber.Error) error {
	if err.Code != http.StatusMethodNotAllowed {
		if err.Code == http.StatusNotFound {
			r.route = routeNone
		}
		return err
	}
	r.route = routeNone
	c.Append(fiber.HeaderAllow, fiber.MethodOptions)
	if c.Method() == fiber.MethodOptions {
		return c.SendStatus(http.StatusNoContent)
	}
	return err
}

var errOvertaken = errors.New("the handler did not heed its deadline")

// routeNone stands for the route of requests that have none.
const routeNone = "none"

// failed is Fiber's error handler.
func (s *Server) failed(c *fiber.Ctx, err error) error {
	r := requestOf(c.Context())
	if r == nil {
		r = s.begin(c.Context())
	}
	s.fail(c.Context(), r, err)
	return nil
}

// commonHeaders are those of every answer.
func commonHeaders(h *fasthttp.ResponseHeader, r *request) {
	h.Set(headerRequestID, r.id)
	h.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	if len(h.Peek(fiber.HeaderContentSecurityPolicy)) == 0 { // a page of documentation has its own
		h.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
	}
}

// end completes the answer and tells log and metrics.
func (s *Server) end(fctx *fasthttp.RequestCtx, r *request) {
	commonHeaders(&fctx.Response.Header, r)
	if s.draining.Load() {
		fctx.Response.SetConnectionClose()
	}
	took := time.Since(r.start)
	if r.route == "" {
		r.route = routeNone
	}
	if s.metrics != nil {
		s.metrics.End(r.method, r.route, fctx.Response.StatusCode(), took)
	}
	s.log(fctx, r, took)
}
