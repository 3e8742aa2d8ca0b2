package web

import (
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"souk/internal/errs"
)

// maxPointer is where the pointer in an error is cut; a client may send a name of
// a megabyte.
const maxPointer = 200

func badJSON(pointer, detail string) *errs.Error {
	return errs.New(errs.Invalid, "bad-json", "the body is not the JSON that is wanted here").
		With(errs.Field{Pointer: cutPointer(pointer), Detail: detail})
}

func cutPointer(p string) string {
	if len(p) <= maxPointer {
		return p
	}
	cut := maxPointer
	for cut > 0 && !utf8.RuneStart(p[cut]) {
		cut--
	}
	return p[:cut] + "..."
}

// explain turns the decoder's error, which speaks of Go types, into one for clients.
func explain(data []byte, err error) error {
	var (
		ours     *errs.Error
		semantic *json.SemanticError
		syntax   *jsontext.SyntacticError
	)
	// The innermost syntax error knows the place.
	if errors.As(err, &syntax) {
		return badJSON(string(syntax.JSONPointer), syntaxDetail(data, syntax))
	}
	if !errors.As(err, &semantic) {
		return badJSON("", "is not valid").Because(err)
	}
	pointer := string(semantic.JSONPointer)
	if errors.As(err, &ours) { // a type's own rule: money, say
		moved := *ours
		moved.Fields = nil
		for _, f := range ours.Fields {
			if f.Pointer == "" || strings.HasPrefix(f.Pointer, "/") {
				f.Pointer = cutPointer(pointer + f.Pointer)
			}
			moved.Fields = append(moved.Fields, f)
		}
		if len(moved.Fields) == 0 {
			moved.Fields = []errs.Field{{Pointer: cutPointer(pointer), Detail: ours.Detail}}
		}
		return &moved
	}
	if errors.Is(err, json.ErrUnknownName) {
		return badJSON(pointer, "is not a known member here")
	}
	return badJSON(pointer, wanted(semantic.GoType)).Because(err)
}

func syntaxDetail(data []byte, err *jsontext.SyntacticError) string {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return "appears more than once"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the document ends early"
	case !utf8.Valid(data):
		return "the document is not UTF-8"
	}
	return fmt.Sprintf("is not valid JSON at byte %d", err.ByteOffset)
}

// wanted says what the Go type takes, in JSON's words.
func wanted(t reflect.Type) string {
	if t == nil {
		return "has the wrong type or is out of range"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[time.Time]() {
		return "must be a time as RFC 3339 writes it"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "must be true or false"
	case reflect.String:
		return "must be a string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		bits := t.Bits() - 1
		return fmt.Sprintf("must be an integer between %d and %d", int64(math.MinInt64)>>(63-bits), int64(math.MaxInt64)>>(63-bits))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return fmt.Sprintf("must be an integer between 0 and %d", uint64(math.MaxUint64)>>(64-t.Bits()))
	case reflect.Float32, reflect.Float64:
		return "must be a number that fits 64 bits"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "must be a string in the right form"
		}
		return "must be an array"
	case reflect.Map, reflect.Struct:
		return "must be an object"
	default:
		return "has the wrong type or is out of range"
	}
}
