package chaos

import (
	"time"

	"github.com/google/uuid"
)

// books is what the stores say after a round, of one SKU and the orders that name it. Amounts are minor units.
type books struct {
	initial int64 // pieces that came in
	price   int64
	stock   stock

	orders       []order
	reservations map[uuid.UUID]reservation // by order
	payments     []payment
	charges      []charge // in the sandbox's own books
	ledgerSum    int64    // of all signed entries
	waiting      []string // what is parked, or still to be published, or the provider still to be asked: none
	lastFault    time.Time
}

// stock of the SKU, over all locations.
type stock struct{ available, reserved, sold, lowest int64 }

// order as its own service has it.
type order struct {
	id, cart, user  uuid.UUID
	status, reason  string
	settled         bool
	pieces          int64
	total           int64
	captured        int64
	refunded        int64
	placed, changed time.Time
}

// reservation as inventory has it.
type reservation struct {
	state  string
	pieces int64
}

// payment is an intent, with its postings in the ledger summed up.
type payment struct {
	intent, order             uuid.UUID
	status                    string
	captured, refunded        int64
	ledgerCaptured, ledgerOut int64
}

// charge is what the bank did with money for an intent: in the bank's own books, whatever payments believes.
type charge struct {
	intent uuid.UUID
	kind   string // authorised, captured, voided, refunded
	amount int64
}

// Kinds of a charge: outcomes as the sandbox writes them.
const (
	authorised = "authorised"
	captured   = "captured"
	voided     = "voided"
	refunded   = "refunded"
)
