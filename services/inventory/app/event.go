package app

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

// Topic is where all events of this service go. The key is the order's id, or the SKU of events about stock.
const (
	Topic  = "inventory.events.v1"
	Source = "/inventory" // of CloudEvents
)

// EventType names what happened, with the version of the data's shape.
type EventType string

// The events. Those of reservations answer commands.
const (
	ReservationReserved     EventType = "souk.inventory.reservation.reserved.v1"       // ReservedData
	ReservationRejected     EventType = "souk.inventory.reservation.rejected.v1"       // RejectedData
	ReservationCommitted    EventType = "souk.inventory.reservation.committed.v1"      // OrderData
	ReservationCommitFailed EventType = "souk.inventory.reservation.commit_failed.v1"  // ReasonData
	ReservationReleased     EventType = "souk.inventory.reservation.released.v1"       // ReleasedData
	ReservationExpired      EventType = "souk.inventory.reservation.expired.v1"        // OrderData
	StockLow                EventType = "souk.inventory.stock.low.v1"                  // LowData
	AvailabilityChanged     EventType = "souk.inventory.stock.availability_changed.v1" // AvailabilityData
)

// Reasons of refusals.
const (
	InsufficientStock = "insufficient_stock"
	UnknownSKU        = "unknown_sku"
	WasReleased       = "released"
	HasExpired        = "expired"
	Unknown           = "unknown"
)

// Event is what a transaction makes known.
type Event struct {
	Type        EventType
	Key         string // the order's id or the SKU
	Data        any
	Traceparent string // of the command; "" for none
}

// OrderData tells of an order's reservation.
type OrderData struct {
	OrderID uuid.UUID `json:"order_id"`
}

// ReservedData says from where the stock was taken.
type ReservedData struct {
	OrderID   uuid.UUID `json:"order_id"`
	ExpiresAt time.Time `json:"expires_at"`
	Lines     []Line    `json:"lines"`
}

// RejectedData says why nothing is reserved: InsufficientStock, UnknownSKU or WasReleased.
type RejectedData struct {
	OrderID   uuid.UUID  `json:"order_id"`
	Reason    string     `json:"reason"`
	Shortages []Shortage `json:"shortages"`
}

// ReasonData says why a commit failed: HasExpired (and what it held is gone), WasReleased or Unknown.
type ReasonData struct {
	OrderID uuid.UUID `json:"order_id"`
	Reason  string    `json:"reason"`
}

// ReleasedData has the reason of the first release, and whether sold stock came back.
type ReleasedData struct {
	OrderID   uuid.UUID `json:"order_id"`
	Reason    string    `json:"reason"`
	Restocked bool      `json:"restocked"`
}

// LowData tells that no more than the threshold is available, which was more before.
type LowData struct {
	SKU       string `json:"sku"`
	Available int64  `json:"available"`
	Threshold int64  `json:"threshold"`
}

// AvailabilityData tells that a SKU sold out or came back.
type AvailabilityData struct {
	SKU       string `json:"sku"`
	InStock   bool   `json:"in_stock"`
	Available int64  `json:"available"`
}

// Schema is the CloudEvents dataschema of the type: it names the shape, and there is one for each type
// ("urn:souk:schema:inventory:reservation-reserved:v1").
func (t EventType) Schema() string {
	name := strings.TrimSuffix(strings.TrimPrefix(string(t), "souk.inventory."), ".v1")
	return "urn:souk:schema:inventory:" + strings.NewReplacer(".", "-", "_", "-").Replace(name) + ":v1"
}
