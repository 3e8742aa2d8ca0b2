package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// amount is money as a service tells it, in minor units. Zero need not have a currency.
type amount struct {
	Minor    int64  `json:"amount"`
	Currency string `json:"currency"`
}

func (a amount) String() string { return fmt.Sprintf("%d %s", a.Minor, a.Currency) }

// same compares; nothing is nothing in any currency.
func (a amount) same(b amount) bool {
	return a.Minor == b.Minor && (a.Minor == 0 || a.Currency == b.Currency)
}

// line is how many pieces of a SKU; inventory has one for each location.
type line struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// pieces sums lines up by SKU: "2 tea-1, 1 tea-2".
func pieces(lines []line) string {
	sums := map[string]int64{}
	for _, l := range lines {
		sums[l.SKU] += l.Quantity
	}
	all := make([]line, 0, len(sums))
	for sku, n := range sums {
		all = append(all, line{sku, n})
	}
	slices.SortFunc(all, func(a, b line) int { return cmp.Compare(a.SKU, b.SKU) })
	parts := make([]string, len(all))
	for i, l := range all {
		parts[i] = fmt.Sprintf("%d %s", l.Quantity, l.SKU)
	}
	return strings.Join(parts, ", ")
}

// order is what the service orders has in its books.
type order struct {
	ID        uuid.UUID `json:"order_id"`
	Status    string    `json:"status"`  // pending, confirmed, cancelled, failed
	Settled   bool      `json:"settled"` // ended, and nothing of it is still to be committed, captured or given back
	Stock     string    `json:"stock"`
	Payment   string    `json:"payment"`
	Total     amount    `json:"total"`
	Captured  amount    `json:"captured"`
	Refunded  amount    `json:"refunded"`
	Lines     []line    `json:"lines"`
	ChangedAt time.Time `json:"changed_at"`
}

// reservation is what inventory has.
type reservation struct {
	Order     uuid.UUID `json:"order_id"`
	State     string    `json:"state"` // reserved, committed, released, expired, rejected
	Lines     []line    `json:"lines"`
	ChangedAt time.Time `json:"changed_at"`
}

// payment is what payments has: in the intent, in the ledger, and what the provider says.
type payment struct {
	Order            uuid.UUID `json:"order_id"`
	Intent           uuid.UUID `json:"intent_id"`
	Status           string    `json:"status"`
	Authorised       amount    `json:"authorised"`
	Captured         amount    `json:"captured"`
	Refunded         amount    `json:"refunded"`
	Voided           amount    `json:"voided"`
	LedgerCaptured   amount    `json:"ledger_captured"`
	LedgerRefunded   amount    `json:"ledger_refunded"`
	ProviderCaptured amount    `json:"provider_captured"`
	ProviderRefunded amount    `json:"provider_refunded"`
	ChangedAt        time.Time `json:"changed_at"`
}

// level is the stock of a SKU, and what its history says it must be.
type level struct {
	SKU                    string `json:"sku"`
	Available              int64  `json:"available"`
	Reserved               int64  `json:"reserved"`
	Sold                   int64  `json:"sold"`
	Adjusted               int64  `json:"adjusted"`                 // sum of all adjustments
	ReservedByReservations int64  `json:"reserved_by_reservations"` // sum over what is reserved
	SoldByReservations     int64  `json:"sold_by_reservations"`     // sum over what is committed
}

// ledger is what payments says of the ledger as a whole.
type ledger struct {
	Sum int64 `json:"ledger_sum"` // of all entries: debits less credits
}

func (o order) key() uuid.UUID           { return o.ID }
func (r reservation) key() uuid.UUID     { return r.Order }
func (p payment) key() uuid.UUID         { return p.Order }
func (o order) changed() time.Time       { return o.ChangedAt }
func (r reservation) changed() time.Time { return r.ChangedAt }
func (p payment) changed() time.Time     { return p.ChangedAt }
