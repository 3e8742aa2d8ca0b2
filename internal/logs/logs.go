// Package logs writes a service's log: JSON lines in the Elastic Common Schema
// (ECS), with the trace they belong to and without the secrets they were given.
package logs

import (
	"context"
	"io"
	"log/slog"
	"strings"
)

// ecsVersion is the version of the Elastic Common Schema whose names are used.
const ecsVersion = "8.11.0"

// Level can be changed while the service runs; pass its address to New.
type Level = slog.LevelVar

// ParseLevel reads "debug", "info", "warn" or "error", in any case.
func ParseLevel(text string) (slog.Level, error) {
	var l slog.Level
	err := l.UnmarshalText([]byte(text))
	return l, err
}

// New makes a logger that writes one JSON object a line to w, which need not be
// safe for concurrent use. Each line has @timestamp (UTC), log.level, message,
// ecs.version and service.*; a line logged with a context also has what With and
// WithTrace put there. Groups become dotted names, as ECS writes them.
func New(w io.Writer, service, version, instance, env string, level slog.Leveler) *slog.Logger {
	json := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: new(masker).replace})
	return slog.New(&handler{inner: json.WithAttrs([]slog.Attr{
		slog.String("ecs.version", ecsVersion),
		slog.String("service.name", service),
		slog.String("service.version", version),
		slog.String("service.node.name", instance),
		slog.String("service.environment", env),
	})})
}

// Err is the attribute for an error: error.message.
func Err(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.Any("error", err)
}

type attrsKey struct{}

// With returns a context whose log lines also have these attributes.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	had, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	return context.WithValue(ctx, attrsKey{}, append(had[:len(had):len(had)], attrs...))
}

// handler adds what the context carries and turns groups into dotted names.
type handler struct {
	inner  slog.Handler
	prefix string // "group." or ""
}

func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.inner.Enabled(ctx, l) }

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if h.prefix != "" {
		flat := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
		r.Attrs(func(a slog.Attr) bool {
			flat.AddAttrs(h.named(a))
			return true
		})
		r = flat
	}
	if ctx == nil {
		return h.inner.Handle(context.Background(), r)
	}
	t, traced := TraceFrom(ctx)
	attrs, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	if !traced && len(attrs) == 0 {
		return h.inner.Handle(ctx, r)
	}
	r = r.Clone() // AddAttrs may write into a slice that the caller's copy shares
	if traced {
		r.AddAttrs(slog.String("trace.id", t.TraceID()), slog.String("span.id", t.SpanID()))
	}
	r.AddAttrs(attrs...)
	return h.inner.Handle(ctx, r)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if h.prefix != "" {
		flat := make([]slog.Attr, len(attrs))
		for i, a := range attrs {
			flat[i] = h.named(a)
		}
		attrs = flat
	}
	return &handler{inner: h.inner.WithAttrs(attrs), prefix: h.prefix}
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &handler{inner: h.inner, prefix: h.prefix + name + "."}
}

func (h *handler) named(a slog.Attr) slog.Attr {
	a.Key = h.prefix + a.Key
	return a
}

// replace gives slog's own attributes their ECS names and masks the others.
func (m *masker) replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 {
		switch a.Key {
		case slog.TimeKey:
			if a.Value.Kind() == slog.KindTime {
				return slog.String("@timestamp", a.Value.Time().UTC().Format("2006-01-02T15:04:05.000000Z"))
			}
		case slog.LevelKey:
			if l, ok := a.Value.Any().(slog.Level); ok {
				return slog.String("log.level", strings.ToLower(l.String()))
			}
		case slog.MessageKey:
			a.Key = "message"
		case "error", "err":
			if a.Value.Kind() == slog.KindAny {
				a.Key = "error.message"
			}
		}
	}
	return m.masked(a)
}
