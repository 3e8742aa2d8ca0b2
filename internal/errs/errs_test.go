package errs

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestEveryKindHasAStatusOfItsOwn(t *testing.T) {
	want := map[Kind]int{
		Internal: 500, Invalid: 400, Unauthenticated: 401, Forbidden: 403, NotFound: 404, Conflict: 409, PreconditionFailed: 412,
		TooLarge: 413, UnsupportedMedia: 415, Unprocessable: 422, PreconditionRequired: 428, TooMany: 429, BadGateway: 502, Unavailable: 503, Timeout: 504,
	}
	for k := range Kind(255) {
		status, known := want[k]
		if !known {
			status = 500
		}
		if k.Status() != status {
			t.Errorf("%d: %d, want %d", k, k.Status(), status)
		}
	}
	if NotFound.String() != "Not Found" {
		t.Error(NotFound)
	}
}

func TestAnErrorIsFoundThroughWrappingAndItsCauseToo(t *testing.T) {
	taken := New(Conflict, "sku-taken", "the SKU %q is taken", "A-1")
	err := fmt.Errorf("create: %w", taken.Because(io.ErrUnexpectedEOF))
	if KindOf(err) != Conflict || CodeOf(err) != "sku-taken" {
		t.Error(KindOf(err), CodeOf(err))
	}
	if !errors.Is(err, taken) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, New(Conflict, "slug-taken", "")) || errors.Is(err, New(Invalid, "sku-taken", "")) {
		t.Error("errors.Is")
	}
	if KindOf(io.EOF) != Internal || CodeOf(io.EOF) != "" || KindOf(nil) != Internal {
		t.Error("a foreign error has a kind")
	}
}

func TestChangedCopiesLeaveTheOriginalAlone(t *testing.T) {
	base := New(Invalid, "bad", "100%% wrong").With(Field{"/a", "x"})
	b, c := base.With(Field{"/b", "y"}), base.With(Field{"/c", "z"})
	_ = base.Because(io.EOF)
	_ = base.After(time.Second)
	if len(base.Fields) != 1 || base.Err != nil || base.RetryAfter != 0 || base.Detail != "100% wrong" {
		t.Errorf("%+v", base)
	}
	if b.Fields[1].Pointer != "/b" || c.Fields[1].Pointer != "/c" {
		t.Errorf("%v %v", b.Fields, c.Fields)
	}
	if got, want := b.Because(io.EOF).Error(), "bad: 100% wrong [/a: x] [/b: y]: EOF"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestIdempotencyOutcomes(t *testing.T) {
	if e := IdempotencyKeyReused(); e.Kind != Unprocessable || e.Code != "idempotency-key-reused" {
		t.Error(e)
	}
	if e := IdempotencyInFlight(); e.Kind != Conflict || e.Code != "idempotency-in-flight" || e.RetryAfter == 0 {
		t.Error(e)
	}
}
