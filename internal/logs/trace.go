package logs

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
)

// Trace is one span of a distributed trace (W3C Trace Context, level 1).
type Trace struct {
	ID    [16]byte // never all zero
	Span  [8]byte  // ours; never all zero
	Flags byte     // bit 0: sampled
	State string   // tracestate, passed on untouched
}

type traceKey struct{}

// WithTrace returns a context whose log lines carry trace.id and span.id.
func WithTrace(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceFrom gives the trace that WithTrace put there.
func TraceFrom(ctx context.Context) (Trace, bool) {
	t, ok := ctx.Value(traceKey{}).(Trace)
	return t, ok
}

// NewTrace starts a trace, sampled.
func NewTrace() Trace {
	t := Trace{Flags: 1}
	binary.BigEndian.PutUint64(t.ID[:8], rand.Uint64())
	binary.BigEndian.PutUint64(t.ID[8:], rand.Uint64()|1) // not all zero
	t.Span = newSpan()
	return t
}

// Child is a new span of the same trace.
func (t Trace) Child() Trace {
	t.Span = newSpan()
	return t
}

func newSpan() (s [8]byte) {
	binary.BigEndian.PutUint64(s[:], rand.Uint64()|1)
	return s
}

// TraceID is the trace's id in lower-case hex, 32 characters.
func (t Trace) TraceID() string { return hex.EncodeToString(t.ID[:]) }

// SpanID is the span's id in lower-case hex, 16 characters.
func (t Trace) SpanID() string { return hex.EncodeToString(t.Span[:]) }

// Traceparent is the header to send on: "00-<trace>-<span>-01".
func (t Trace) Traceparent() string {
	const digits = "0123456789abcdef"
	var b [55]byte
	copy(b[:], "00-")
	hex.Encode(b[3:35], t.ID[:])
	b[35] = '-'
	hex.Encode(b[36:52], t.Span[:])
	b[52], b[53], b[54] = '-', digits[t.Flags>>4], digits[t.Flags&15]
	return string(b[:])
}

// ParseTraceparent reads a traceparent header as W3C Trace Context, section 3.2
// says: lower-case hex, no all-zero ids, version ff refused, a version above 00
// may have more fields, of which nothing is kept. Flags we don't know are dropped.
func ParseTraceparent(s string) (Trace, bool) {
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return Trace{}, false
	}
	var version, flags [1]byte
	var t Trace
	if !unhex(version[:], s[:2]) || !unhex(t.ID[:], s[3:35]) || !unhex(t.Span[:], s[36:52]) || !unhex(flags[:], s[53:55]) {
		return Trace{}, false
	}
	switch {
	case version[0] == 0xff,
		version[0] == 0 && len(s) != 55,
		len(s) > 55 && s[55] != '-',
		t.ID == [16]byte{},
		t.Span == [8]byte{}:
		return Trace{}, false
	}
	t.Flags = flags[0] & 1
	return t, true
}

// unhex wants lower-case digits only.
func unhex(dst []byte, src string) bool {
	if strings.ContainsAny(src, "ABCDEF") {
		return false
	}
	_, err := hex.Decode(dst, []byte(src))
	return err == nil
}
