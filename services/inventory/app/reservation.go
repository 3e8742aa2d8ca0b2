package app

import (
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// State of a reservation.
type State string

// The states. From Reserved it goes to Committed, Released or Expired; from Committed (a cancelled order) and Expired to
// Released; from Expired to Committed, if there is stock left. Released and Rejected are for good.
const (
	Reserved  State = "reserved"
	Committed State = "committed"
	Released  State = "released"
	Expired   State = "expired"
	Rejected  State = "rejected"
)

// Line is a quantity of a SKU at the location that it was taken from, "" if none was.
type Line struct {
	SKU      string `json:"sku"`
	Location string `json:"location,omitzero"`
	Quantity int64  `json:"quantity"`
}

// Shortage is what kept a line from being reserved.
type Shortage struct {
	SKU       string `json:"sku"`
	Requested int64  `json:"requested"`
	Available int64  `json:"available"`
}

// Reservation is what an order holds of the stock, in the shape that the API shows. There is one for each order; lines say
// what it holds or, when it has ended, held.
type Reservation struct {
	OrderID   uuid.UUID  `json:"order_id"`
	State     State      `json:"state"`
	Reason    string     `json:"reason,omitzero"`    // of Released and Rejected
	Restocked bool       `json:"restocked,omitzero"` // Released after it had been committed
	Lines     []Line     `json:"lines"`
	Shortages []Shortage `json:"shortages,omitempty"` // of Rejected
	ExpiresAt time.Time  `json:"expires_at,omitzero"` // none if it was released before it was made
	CreatedAt time.Time  `json:"created_at"`
	ChangedAt time.Time  `json:"changed_at"`

	was State // as it was read; "" for a new one
}

// ErrNoReservation is for an order of which the service has not heard.
var ErrNoReservation = errs.New(errs.NotFound, "reservation-not-found", "no stock was ever asked for this order")

// Read marks a reservation as the one that the database has.
func (r *Reservation) Read() { r.was = r.State }

// Was is the state that the database has, "" if it has none.
func (r *Reservation) Was() State { return r.was }

// errMove is a move that the state doesn't allow. Deciding looks first, so it means a fault of ours.
func (r *Reservation) errMove(to State) error {
	return errs.New(errs.Conflict, "illegal-move", "a reservation that is %s can't become %s", r.State, to)
}

// commit sells what is held, or sells the lines again that were taken after it had expired.
func (r *Reservation) commit(lines []Line) error {
	switch r.State {
	case Reserved:
	case Expired:
		r.Lines = lines
	default:
		return r.errMove(Committed)
	}
	r.State = Committed
	return nil
}

// release ends it for good: a later commit is refused.
func (r *Reservation) release(reason string) error {
	switch r.State {
	case Reserved, Expired:
	case Committed:
		r.Restocked = true
	default:
		return r.errMove(Released)
	}
	r.State, r.Reason = Released, reason
	return nil
}

func (r *Reservation) expire() error {
	if r.State != Reserved {
		return r.errMove(Expired)
	}
	r.State = Expired
	return nil
}
