package web

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"souk/internal/logs"
)

// request is what the server knows of one request beside Fiber.
type request struct {
	server  *Server
	id      string
	trace   logs.Trace
	method  string
	path    string // as sent, cut to maxPath
	start   time.Time
	timeout time.Duration
	route   string // template; "" until one matched

	ctx    context.Context // made when first asked for
	cancel context.CancelFunc

	err   error  // why it failed, for the log
	code  string // of the problem that was sent
	stack []byte // of a panic
}

type requestKey struct{}

func requestOf(fctx *fasthttp.RequestCtx) *request {
	r, _ := fctx.UserValue(requestKey{}).(*request)
	return r
}

// begin reads the ids that came with the request or makes new ones.
func (s *Server) begin(fctx *fasthttp.RequestCtx) *request {
	r := &request{server: s, start: time.Now(), timeout: s.opts.RequestTimeout}
	r.id = requestID(fctx.Request.Header.Peek(headerRequestID))
	r.trace = incomingTrace(&fctx.Request.Header)
	r.method = string(fctx.Method())
	path := fctx.URI().PathOriginal()
	r.path = string(path[:min(len(path), maxPath)])
	fctx.SetUserValue(requestKey{}, r)
	return r
}

const (
	headerRequestID   = "X-Request-Id"
	headerTraceparent = "Traceparent"
	headerTracestate  = "Tracestate"
	maxRequestID      = 128
	maxPath           = 512 // in logs and problems
	maxTracestate     = 512 // W3C Trace Context, section 3.3.1.5
)

// requestID takes over a sane id, else makes a UUIDv7. A sane one cannot break a
// log line or a header: letters, digits and ._:/+=@- only.
func requestID(sent []byte) string {
	sane := len(sent) > 0 && len(sent) <= maxRequestID
	for _, c := range sent {
		sane = sane && (alphanumeric(c) || strings.IndexByte("._:/+=@-", c) >= 0)
	}
	if sane {
		return string(sent)
	}
	id, err := uuid.NewV7()
	if err != nil { // no entropy; crypto/rand has crashed the process before this
		return "unknown"
	}
	return id.String()
}

// incomingTrace continues the caller's trace or starts one. More than one
// traceparent, or a malformed one, is as good as none.
func incomingTrace(h *fasthttp.RequestHeader) logs.Trace {
	sent := h.PeekAll(headerTraceparent)
	if len(sent) != 1 {
		return logs.NewTrace()
	}
	t, ok := logs.ParseTraceparent(string(sent[0]))
	if !ok {
		return logs.NewTrace()
	}
	if states := h.PeekAll(headerTracestate); len(states) == 1 && len(states[0]) <= maxTracestate {
		t.State = string(states[0])
	}
	return t.Child()
}

// Context ends when the request's time is over, when the handler has returned,
// or when a drain gives up on it. It carries the trace and the request id (see
// logs.TraceFrom); handlers pass it on. It does not end when the client goes
// away: fasthttp does not notice. c.Context() and c.UserContext() are not it.
func Context(c *fiber.Ctx) context.Context {
	r := requestOf(c.Context())
	if r == nil { // not one of our servers
		return c.UserContext()
	}
	if r.ctx == nil {
		ctx := logs.With(logs.WithTrace(r.server.base, r.trace), slog.String("http.request.id", r.id))
		if r.timeout > 0 {
			r.ctx, r.cancel = context.WithDeadline(ctx, r.start.Add(r.timeout))
		} else {
			r.ctx, r.cancel = context.WithCancel(ctx)
		}
	}
	return r.ctx
}

// SetTimeout gives this request another time than Options.RequestTimeout; 0 is
// none. It must come before the first Context.
func SetTimeout(c *fiber.Ctx, d time.Duration) {
	if r := requestOf(c.Context()); r != nil {
		r.timeout = d
		watch(c.Context(), r)
	}
}

// SetRoute names the route in metrics and logs, where Fiber's own template says
// too little ("/*"). The name must be one of few.
func SetRoute(c *fiber.Ctx, template string) {
	if r := requestOf(c.Context()); r != nil {
		r.route = template
	}
}

// RequestID is the request's X-Request-Id.
func RequestID(c *fiber.Ctx) string {
	if r := requestOf(c.Context()); r != nil {
		return r.id
	}
	return ""
}

// Trace is this request's span; send its Traceparent on to other services.
func Trace(c *fiber.Ctx) logs.Trace {
	if r := requestOf(c.Context()); r != nil {
		return r.trace
	}
	return logs.Trace{}
}
