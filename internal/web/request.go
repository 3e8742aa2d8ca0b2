package web

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/netip"
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

// PeerCertificate is the client's certificate, which the TLS handshake has
// verified; nil without TLS or when none was sent.
func PeerCertificate(c *fiber.Ctx) *x509.Certificate {
	return peerCertificate(c.Context())
}

func peerCertificate(fctx *fasthttp.RequestCtx) *x509.Certificate {
	if state := fctx.TLSConnectionState(); state != nil && len(state.PeerCertificates) > 0 {
		return state.PeerCertificates[0]
	}
	return nil
}

// peerName is the certificate's SPIFFE name, else its first DNS name.
func peerName(cert *x509.Certificate) string {
	switch {
	case len(cert.URIs) > 0:
		return cert.URIs[0].String()
	case len(cert.DNSNames) > 0:
		return cert.DNSNames[0]
	}
	return cert.Subject.CommonName
}

// ClientIP is the address of the client: of the connection's other end, or with
// Options.TrustForwarded the last address in X-Forwarded-For, which is the one
// that our own proxy wrote (those before it are the client's word).
func ClientIP(c *fiber.Ctx) netip.Addr {
	return clientIP(c.Context(), requestOf(c.Context()))
}

func clientIP(fctx *fasthttp.RequestCtx, r *request) netip.Addr {
	if r != nil && r.server.opts.TrustForwarded {
		if all := fctx.Request.Header.PeekAll(fiber.HeaderXForwardedFor); len(all) > 0 {
			last := string(all[len(all)-1])
			last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
			if addr, err := netip.ParseAddr(last); err == nil && addr.Zone() == "" {
				return addr.Unmap()
			}
		}
	}
	addr, _ := netip.AddrFromSlice(fctx.RemoteIP())
	return addr.Unmap()
}

// Scheme is "https" or "http", as the client sees it: X-Forwarded-Proto counts
// with Options.TrustForwarded only.
func Scheme(c *fiber.Ctx) string {
	r := requestOf(c.Context())
	if r != nil && r.server.opts.TrustForwarded {
		switch proto := c.Get(fiber.HeaderXForwardedProto); proto {
		case "http", "https":
			return proto
		}
	}
	if c.Context().IsTLS() {
		return "https"
	}
	return "http"
}
