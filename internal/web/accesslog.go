package web

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"souk/internal/logs"
)

const (
	maxUserAgent = 256
	maxQuery     = 512
)

// log writes the request's one line. Answers of 500 and up are errors and carry
// their cause, which nobody else logs.
func (s *Server) log(fctx *fasthttp.RequestCtx, r *request, took time.Duration) {
	status := fctx.Response.StatusCode()
	level, outcome := slog.LevelInfo, "success"
	switch {
	case status >= http.StatusInternalServerError:
		level, outcome = slog.LevelError, "failure"
	case status >= http.StatusBadRequest:
		outcome = "failure"
	}
	if !s.opts.Log.Enabled(s.base, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 20)
	attrs = append(attrs,
		slog.String("event.category", "web"),
		slog.String("event.outcome", outcome),
		slog.Int64("event.duration", took.Nanoseconds()),
		slog.String("http.request.method", r.method),
		slog.String("http.request.id", r.id),
		slog.Int("http.request.body.bytes", len(fctx.Request.Body())),
		slog.Int("http.response.status_code", status),
		slog.String("http.route", r.route),
		slog.String("url.path", r.path),
		slog.String("client.ip", clientIP(fctx, r).String()),
		slog.String("trace.id", r.trace.TraceID()),
		slog.String("span.id", r.trace.SpanID()),
	)
	if !fctx.Response.IsBodyStream() {
		attrs = append(attrs, slog.Int("http.response.body.bytes", len(fctx.Response.Body())))
	}
	if query := fctx.URI().QueryString(); len(query) > 0 {
		attrs = append(attrs, slog.String("url.query", s.maskedQuery(string(query[:min(len(query), maxQuery)]))))
	}
	if agent := fctx.UserAgent(); len(agent) > 0 {
		attrs = append(attrs, slog.String("user_agent.original", string(agent[:min(len(agent), maxUserAgent)])))
	}
	if cert := peerCertificate(fctx); cert != nil {
		attrs = append(attrs, slog.String("service.origin.name", peerName(cert)))
	}
	if r.code != "" {
		attrs = append(attrs, slog.String("error.code", r.code))
	}
	if r.err != nil && level == slog.LevelError {
		attrs = append(attrs, logs.Err(r.err))
	}
	if r.stack != nil {
		attrs = append(attrs, slog.String("error.stack_trace", string(r.stack)))
	}
	s.opts.Log.LogAttrs(s.base, level, "request", attrs...)
}

// maskedQuery keeps the names, and the values of Options.LoggedQuery.
func (s *Server) maskedQuery(query string) string {
	var b strings.Builder
	for pair := range strings.SplitSeq(query, "&") {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		name, value, valued := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err != nil || !s.logged[plain] {
			value = "***"
		}
		b.WriteString(name)
		if valued {
			b.WriteByte('=')
			b.WriteString(value)
		}
	}
	return b.String()
}
