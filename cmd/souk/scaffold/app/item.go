// Package app is what the service is about: items, the moves they allow, and the use cases. It knows neither HTTP nor
// PostgreSQL.
package app

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// MaxName is how many characters an item's name may have.
const MaxName = 100

// Item in the shape that the API shows.
type Item struct {
	ID        uuid.UUID `json:"id"`      // UUIDv7: the order of ids is that of creation
	Version   int64     `json:"version"` // from 1, one more with every change
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"` // whole milliseconds, UTC, like UpdatedAt
	UpdatedAt time.Time `json:"updated_at"`
}

// NewItem makes version 1, or says what is wrong (errs.Unprocessable).
func NewItem(name string, now time.Time) (Item, error) {
	if err := checkName(name); err != nil {
		return Item{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Item{}, err
	}
	now = moment(now)
	return Item{ID: id, Version: 1, Name: name, CreatedAt: now, UpdatedAt: now}, nil
}

// Rename makes the next version. The name that it has already makes none.
func (i *Item) Rename(name string, now time.Time) error {
	if err := checkName(name); err != nil {
		return err
	}
	if name == i.Name {
		return nil
	}
	i.Name, i.Version, i.UpdatedAt = name, i.Version+1, moment(now)
	return nil
}

// checkName wants one line without blanks at its ends.
func checkName(name string) error {
	n := utf8.RuneCountInString(name)
	if n >= 1 && n <= MaxName && name == strings.TrimSpace(name) && !strings.ContainsFunc(name, unicode.IsControl) {
		return nil
	}
	return errs.New(errs.Unprocessable, "invalid-item", "the item breaks a rule").
		With(errs.Field{Pointer: "/name", Detail: "must be 1 to 100 characters in one line, without blanks at its ends"})
}

// moment is what the database and JSON keep of a time.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
