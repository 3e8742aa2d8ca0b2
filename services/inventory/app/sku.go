// Package app is what the service is about: the stock of SKUs, the reservations that orders hold of it, the moves both
// allow, and the use cases. It knows neither HTTP nor Kafka nor PostgreSQL.
package app

import (
	"regexp"

	"souk/internal/errs"
)

// Bounds of numbers. Sums of them stay far below 2^53, so that every client can read them.
const (
	MaxQuantity = 1_000_000         // of one line of an order
	MaxLines    = 1_000             // of one reservation
	MaxDelta    = 1_000_000_000     // of one adjustment
	MaxStock    = 1_000_000_000_000 // of one SKU at one location
	MaxSKUs     = 100               // of one question
	maxSKU      = 64                // characters
	maxReason   = 200               // characters of a command's reason

	// LocationRule is what the name of a location may be.
	LocationRule = "1 to 32 lower-case letters, digits and hyphens, beginning with a letter"
)

var (
	skuPattern      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`) // the catalogue's
	locationPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
)

// ErrUnknownSKU says that the catalogue has not told of the SKU, or not yet.
var ErrUnknownSKU = errs.New(errs.NotFound, "sku-not-found", "there is no such SKU in the catalogue")

// ValidSKU reports whether a text can be a SKU. Case matters: "A" and "a" are two.
func ValidSKU(sku string) bool { return len(sku) <= maxSKU && skuPattern.MatchString(sku) }

// ValidLocation reports whether a text can be the name of a location.
func ValidLocation(name string) bool { return locationPattern.MatchString(name) }
