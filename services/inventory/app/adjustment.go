package app

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// Reason of an adjustment.
type Reason string

// The reasons. The first three bring stock, the next two take it; a correction may do either.
const (
	Received   Reason = "received"
	Returned   Reason = "returned"
	Found      Reason = "found"
	Damaged    Reason = "damaged"
	Lost       Reason = "lost"
	Correction Reason = "correction"
)

// MainLocation is meant when no location is named.
const MainLocation = "main"

const maxNote = 500

// Errors of an adjustment.
var (
	ErrInsufficientStock = errs.New(errs.Conflict, "insufficient-stock", "less than that is available at this location")
	ErrTooMuchStock      = errs.New(errs.Conflict, "stock-limit", "there can't be more than %d pieces at one location", int64(MaxStock))
)

// Adjustment is one change of what is available that no order caused. Adjustments are never changed or deleted: a wrong one
// is corrected by another.
type Adjustment struct {
	ID        uuid.UUID `json:"id"` // UUIDv7
	SKU       string    `json:"sku"`
	Location  string    `json:"location"`
	Delta     int64     `json:"delta"` // not 0
	Reason    Reason    `json:"reason"`
	Note      string    `json:"note,omitzero"`
	Available int64     `json:"available"` // at the location, afterwards
	By        string    `json:"by"`        // whose token it was: user/<id>, client/<id>
	CreatedAt time.Time `json:"created_at"`
}

// NewAdjustment checks what a client wants changed; at are the locations that there are.
func NewAdjustment(sku, location string, delta int64, reason Reason, note, by string, at []string, now time.Time) (Adjustment, error) {
	if !ValidSKU(sku) {
		return Adjustment{}, ErrUnknownSKU
	}
	if location == "" {
		location = MainLocation
	}
	var wrong []errs.Field
	add := func(pointer, detail string) { wrong = append(wrong, errs.Field{Pointer: pointer, Detail: detail}) }
	// What is still at a location that was given up can be taken away.
	if !slices.Contains(at, location) && (delta > 0 || !ValidLocation(location)) {
		add("/location", "must be one of: "+strings.Join(at, ", "))
	}
	if delta == 0 || delta < -MaxDelta || delta > MaxDelta {
		add("/delta", "must be a whole number from -1000000000 to 1000000000, but not 0")
	}
	switch reason {
	case Received, Returned, Found:
		if delta < 0 {
			add("/delta", "must be above 0 for this reason")
		}
	case Damaged, Lost:
		if delta > 0 {
			add("/delta", "must be below 0 for this reason")
		}
	case Correction:
	default:
		add("/reason", "must be received, returned, found, damaged, lost or correction")
	}
	if utf8.RuneCountInString(note) > maxNote || strings.ContainsFunc(note, unicode.IsControl) {
		add("/note", "must be one line of at most 500 characters")
	}
	if wrong != nil {
		return Adjustment{}, errs.New(errs.Unprocessable, "invalid-adjustment", "the adjustment breaks a rule").With(wrong...)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Adjustment{}, err
	}
	return Adjustment{
		ID: id, SKU: sku, Location: location, Delta: delta, Reason: reason, Note: note, By: by, CreatedAt: now.UTC().Truncate(time.Millisecond),
	}, nil
}

// CheckThreshold refuses what can't be a low-stock threshold.
func CheckThreshold(pieces int64) error {
	if pieces >= 0 && pieces <= MaxDelta {
		return nil
	}
	return errs.New(errs.Unprocessable, "invalid-threshold", "the threshold breaks a rule").
		With(errs.Field{Pointer: "/low_stock_threshold", Detail: "must be a whole number from 0 to 1000000000"})
}
