package web

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"souk/internal/errs"
)

// maxCursor is the longest cursor that is looked at.
const maxCursor = 2048

// cursorVersion changes when cursors of older programs can't be read any more.
const cursorVersion = 1

type cursor struct {
	Version  int            `json:"v"`
	Scope    string         `json:"s"`
	Position jsontext.Value `json:"p"`
}

// EncodeCursor makes an opaque cursor of a position, a value that JSON can hold
// (it panics on one that can't). The scope says what is listed, in which order and
// with which filters (see QueryReader.Scope); a cursor is good for its own scope
// only. Cursors are not signed: a position is input like any other, and must not
// be a secret.
func EncodeCursor(scope string, position any) string {
	p, err := json.Marshal(position)
	if err != nil {
		panic(fmt.Sprintf("web: no cursor can hold a %T: %v", position, err))
	}
	text, err := json.Marshal(cursor{Version: cursorVersion, Scope: scopeHash(scope), Position: p})
	if err != nil {
		panic(fmt.Sprintf("web: no cursor can hold a %T: %v", position, err))
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// DecodeCursor reads what EncodeCursor made with the same scope. Anything else is
// errs.Invalid with code bad-cursor.
func DecodeCursor(scope, text string, position any) error {
	if len(text) > maxCursor {
		return badCursor("is not a cursor of this list")
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return badCursor("is not a cursor of this list")
	}
	var read cursor
	if err := DecodeJSON(data, &read); err != nil {
		return badCursor("is not a cursor of this list").Because(err)
	}
	switch {
	case read.Version != cursorVersion:
		return badCursor("is too old; start from the first page")
	case read.Scope != scopeHash(scope):
		return badCursor("belongs to another order or other filters; start from the first page")
	}
	if err := DecodeJSON(read.Position, position); err != nil {
		return badCursor("is not a cursor of this list").Because(err)
	}
	return nil
}

func scopeHash(scope string) string {
	sum := sha256.Sum256([]byte(scope))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

func badCursor(detail string) *errs.Error {
	return errs.New(errs.Invalid, "bad-cursor", "the cursor is not accepted").
		With(errs.Field{Pointer: "?cursor", Detail: detail})
}
