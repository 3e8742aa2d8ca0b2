package web

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"souk/internal/logs"
)

// A handler runs on its connection's goroutine and is asked to stop by its
// context. One that does not listen would keep its client waiting for ever: the
// watchdog answers the client instead, closes the connection and says so in the
// log. The handler keeps its own context, which nobody recycles, until it returns.

const (
	watchEvery = 500 * time.Millisecond
	// How long after its deadline a handler may still answer itself.
	watchGrace = 2 * time.Second
)

// handling is what the watchdog knows of a connection's handler.
type handling struct {
	request  atomic.Pointer[request]
	deadline atomic.Int64 // unix nanoseconds, or one of these:
}

const (
	noHandler int64 = 0
	overtaken int64 = -1 // the watchdog has answered; the handler's answer is dropped
)

// watch starts the clock of a request's handler, or sets it anew.
func watch(fctx *fasthttp.RequestCtx, r *request) {
	c := connOf(fctx)
	if c == nil {
		return
	}
	at := noHandler
	if r.timeout > 0 {
		at = r.start.Add(r.timeout + watchGrace).UnixNano()
	}
	c.request.Store(r)
	if was := c.deadline.Load(); was != overtaken {
		c.deadline.CompareAndSwap(was, at)
	}
}

// unwatch stops the clock and reports whether the answer is still the handler's.
func unwatch(fctx *fasthttp.RequestCtx) bool {
	c := connOf(fctx)
	if c == nil {
		return true
	}
	was := c.deadline.Load()
	return was != overtaken && c.deadline.CompareAndSwap(was, noHandler)
}

// watchdog looks after all connections until ctx ends.
func (s *Server) watchdog(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.streams.look()
			s.conns.each(func(c *conn) {
				at := c.deadline.Load()
				if at > 0 && at < now.UnixNano() && c.deadline.CompareAndSwap(at, overtaken) {
					go s.overtake(c, c.request.Load()) // ends by the connection's own time limits
				}
			})
		}
	}
}

// overtake answers in the handler's place.
func (s *Server) overtake(c *conn, r *request) {
	s.opts.Log.Error("the handler does not heed its deadline; its client was answered without it",
		slog.String("http.request.method", r.method), slog.String("url.path", r.path),
		slog.String("http.request.id", r.id), slog.String("trace.id", r.trace.TraceID()))
	var resp fasthttp.Response
	p, after, _ := problemOf(context.DeadlineExceeded, r)
	p.Instance, p.RequestID, p.TraceID = instance(r.path), r.id, r.trace.TraceID()
	write(&resp, p, after, true)
	commonHeaders(&resp.Header, r)
	resp.SkipBody = r.method == fiber.MethodHead
	var b bytes.Buffer
	if _, err := resp.WriteTo(&b); err == nil {
		err = c.write(b.Bytes())
		if err != nil {
			s.opts.Log.Debug("the client did not take the answer", logs.Err(err))
		}
	}
	_ = c.Close() // wakes nobody: the handler's goroutine is not reading
}
