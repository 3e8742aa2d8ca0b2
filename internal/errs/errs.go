// Package errs has the one error type that crosses Souk's layers: what went
// wrong, as a client may be told, apart from its cause, which only logs see.
package errs

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Error is a failure with a meaning for the caller. An error that is not (and
// does not wrap) an *Error is Internal: it is logged and shown as a bare 500.
//
// Errors are values: With, Because and After return changed copies, so that one
// error may be kept in a variable and used by many requests.
type Error struct {
	Kind       Kind
	Code       string        // stable kebab-case slug that programs may switch on: "slug-taken"
	Detail     string        // safe to show to a client; says what to change
	Fields     []Field       // what is wrong where, if that can be said
	RetryAfter time.Duration // when it is worth trying again; 0: not said
	Err        error         // the cause; never shown to a client
}

// Field is one fault of the input.
type Field struct {
	Pointer string // RFC 6901 pointer into the body, "?name" for a query parameter, "header:Name"
	Detail  string // safe to show; says what is allowed
}

// New makes an error without a cause. The format and its arguments are shown to
// clients: never put another error's text in them, use Because.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Error is for logs: code, detail, fields and cause.
func (e *Error) Error() string {
	text := e.Code
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	for _, f := range e.Fields {
		text += fmt.Sprintf(" [%s: %s]", f.Pointer, f.Detail)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error of the same kind and code, so that
// errors.Is works although With and Because make copies.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error) //nolint:errorlint // Is gets one link of the chain at a time
	return ok && t.Kind == e.Kind && t.Code == e.Code
}

// With returns a copy that also names these fields.
func (e *Error) With(fields ...Field) *Error {
	c := *e
	c.Fields = append(slices.Clip(slices.Clone(e.Fields)), fields...)
	return &c
}

// Because returns a copy with a cause, which is logged and never shown.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// After returns a copy that tells the client when to try again.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// KindOf is the kind of the first *Error in err's chain, else Internal.
func KindOf(err error) Kind {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// CodeOf is the code of the first *Error in err's chain, else "".
func CodeOf(err error) string {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return ""
}
