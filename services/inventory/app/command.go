package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// CommandType says what is asked for.
type CommandType string

// The commands of inventory.commands.v1.
const (
	Reserve CommandType = "souk.inventory.reserve.v1"
	Commit  CommandType = "souk.inventory.commit.v1"
	Release CommandType = "souk.inventory.release.v1"
	// expire is what the service asks of itself.
	expire CommandType = "expire"
)

// Command asks for a move of an order's reservation. The reply is an event, and the same however often it is asked.
type Command struct {
	Type        CommandType
	OrderID     uuid.UUID
	ExpiresAt   time.Time // Reserve: when it is released by itself
	Lines       []Line    // Reserve: one a SKU, in their order, without locations
	Reason      string    // Release
	Traceparent string    // of the event; "" for none
}

// NewReserve checks what orders asks to be held. Lines of one SKU are added up.
func NewReserve(order uuid.UUID, expiresAt time.Time, lines []Line) (Command, error) {
	if order == uuid.Nil || expiresAt.IsZero() || len(lines) == 0 || len(lines) > MaxLines {
		return Command{}, fmt.Errorf("order_id or expires_at is missing, or there are not 1 to %d lines", MaxLines)
	}
	sums := make(map[string]int64, len(lines))
	for _, l := range lines {
		sums[l.SKU] += l.Quantity
		// A sum over the bound is refused as well, before it can overflow.
		if !ValidSKU(l.SKU) || l.Quantity < 1 || l.Quantity > MaxQuantity || sums[l.SKU] > MaxQuantity {
			return Command{}, fmt.Errorf("%.70q, %d pieces: not a SKU, or not 1 to %d", l.SKU, l.Quantity, MaxQuantity)
		}
	}
	merged := make([]Line, 0, len(sums))
	for _, sku := range slices.Sorted(maps.Keys(sums)) {
		merged = append(merged, Line{SKU: sku, Quantity: sums[sku]})
	}
	return Command{Type: Reserve, OrderID: order, ExpiresAt: expiresAt.UTC().Truncate(time.Millisecond), Lines: merged}, nil
}

// NewCommit is for an order that is confirmed.
func NewCommit(order uuid.UUID) (Command, error) {
	if order == uuid.Nil {
		return Command{}, fmt.Errorf("order_id is missing")
	}
	return Command{Type: Commit, OrderID: order}, nil
}

// NewRelease is for an order that wants nothing any more. The reason is a word for programs.
func NewRelease(order uuid.UUID, reason string) (Command, error) {
	control := func(r rune) bool { return unicode.IsControl(r) }
	if order == uuid.Nil || utf8.RuneCountInString(reason) > maxReason || strings.ContainsFunc(reason, control) {
		return Command{}, fmt.Errorf("order_id is missing, or the reason is not one line of at most %d characters", maxReason)
	}
	return Command{Type: Release, OrderID: order, Reason: reason}, nil
}

// NewExpire is for an order whose reservation has been held for too long. Nobody but the service itself asks for it.
func NewExpire(order uuid.UUID) Command { return Command{Type: expire, OrderID: order} }
