package app

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// MaxPage is how many entries one page may have, except of the answers to reconcile.
const MaxPage = 100

// Stock of a SKU, in the shape that the API shows.
type Stock struct {
	SKU       string `json:"sku"`
	Available int64  `json:"available"` // at all locations
	InStock   bool   `json:"in_stock"`
}

// Detail is Stock for those who run the shop.
type Detail struct {
	Stock
	Locations []Level `json:"locations"` // by name; of those alone that ever had some
	Threshold int64   `json:"low_stock_threshold"`
}

// Held is a reservation as reconcile compares it with the order.
type Held struct {
	OrderID   uuid.UUID `json:"order_id"`
	State     State     `json:"state"`
	Lines     []Line    `json:"lines"` // one a SKU, without locations
	ChangedAt time.Time `json:"changed_at"`
}

// Totals of a SKU: what its stock says, and what the books beside it say. Available + Reserved + Sold = Adjusted,
// Reserved = ReservedByReservations, Sold = SoldByReservations: all are of one moment.
type Totals struct {
	SKU                    string `json:"sku"`
	Available              int64  `json:"available"`
	Reserved               int64  `json:"reserved"`
	Sold                   int64  `json:"sold"`
	Adjusted               int64  `json:"adjusted"`
	ReservedByReservations int64  `json:"reserved_by_reservations"`
	SoldByReservations     int64  `json:"sold_by_reservations"`
}

// Once makes a request that comes again with the same key have one effect.
type Once struct {
	Principal   string // who asks: keys of others are other keys
	Route       string // method and route template: "POST /v1/inventory/:sku/adjustments"
	Key         string // Idempotency-Key
	Fingerprint []byte // of the whole request
}

// Store keeps stock. Each method is one transaction. Failures of the database are errs.Unavailable.
type Store interface {
	// Stock of those of the SKUs that are known.
	Stock(ctx context.Context, skus []string) ([]Stock, error)
	// Detail of a SKU, or ErrUnknownSKU.
	Detail(ctx context.Context, sku string) (Detail, error)
	// Adjust makes an adjustment. A request that comes again gets what the first one made, and replayed is true.
	// Errors: ErrUnknownSKU, ErrInsufficientStock, ErrTooMuchStock.
	Adjust(ctx context.Context, a Adjustment, once Once) (made Adjustment, replayed bool, err error)
	// Adjustments of a SKU, newest first: at most limit of those older than before, or of all if that is uuid.Nil.
	Adjustments(ctx context.Context, sku string, before uuid.UUID, limit int) ([]Adjustment, error)
	// SetThreshold changes when the stock counts as low; ErrUnknownSKU.
	SetThreshold(ctx context.Context, sku string, pieces int64) (Detail, error)
	// Reservation of an order, or ErrNoReservation.
	Reservation(ctx context.Context, order uuid.UUID) (Reservation, error)
	// Held are reservations in the order of their ids, at most limit of those after an id.
	Held(ctx context.Context, after uuid.UUID, limit int) ([]Held, error)
	// Totals of SKUs in their order, at most limit of those after one.
	Totals(ctx context.Context, after string, limit int) ([]Totals, error)
}

// Inventory has the use cases. It is safe for concurrent use.
type Inventory struct {
	Store
	locations func() []string
	now       func() time.Time
}

// New makes the use cases on a store; locations are asked at each use.
func New(store Store, locations func() []string) *Inventory {
	return &Inventory{Store: store, locations: locations, now: time.Now}
}

// Stock of the SKUs that are known, in the order in which they were asked for.
func (i *Inventory) Stock(ctx context.Context, skus []string) ([]Stock, error) {
	var can []string
	for _, sku := range skus {
		if ValidSKU(sku) {
			can = append(can, sku)
		}
	}
	if can == nil {
		return nil, nil
	}
	found, err := i.Store.Stock(ctx, can)
	if err != nil {
		return nil, err
	}
	bySKU := make(map[string]Stock, len(found))
	for _, s := range found {
		bySKU[s.SKU] = s
	}
	stocks := make([]Stock, 0, len(found))
	for _, sku := range can {
		if s, has := bySKU[sku]; has {
			stocks = append(stocks, s)
			delete(bySKU, sku) // asked for twice
		}
	}
	return stocks, nil
}

// One is the stock of one SKU, or ErrUnknownSKU.
func (i *Inventory) One(ctx context.Context, sku string) (Stock, error) {
	stocks, err := i.Stock(ctx, []string{sku})
	if err == nil && len(stocks) == 0 {
		err = ErrUnknownSKU
	}
	if err != nil {
		return Stock{}, err
	}
	return stocks[0], nil
}

// Detail of a SKU, or ErrUnknownSKU.
func (i *Inventory) Detail(ctx context.Context, sku string) (Detail, error) {
	if !ValidSKU(sku) {
		return Detail{}, ErrUnknownSKU
	}
	return i.Store.Detail(ctx, sku)
}

// Adjust changes what is available, for whom once names.
func (i *Inventory) Adjust(ctx context.Context, sku, location string, delta int64, reason Reason, note string, once Once) (Adjustment, bool, error) {
	a, err := NewAdjustment(sku, location, delta, reason, note, once.Principal, i.locations(), i.now())
	if err != nil {
		return Adjustment{}, false, err
	}
	return i.Store.Adjust(ctx, a, once)
}

// AdjustmentPage is a part of a SKU's adjustments.
type AdjustmentPage struct {
	Adjustments []Adjustment
	More        bool // there are older ones
}

// Adjustments of a SKU that are older than before, newest first; of all if that is uuid.Nil.
func (i *Inventory) Adjustments(ctx context.Context, sku string, before uuid.UUID, limit int) (AdjustmentPage, error) {
	if _, err := i.One(ctx, sku); err != nil {
		return AdjustmentPage{}, err
	}
	all, err := i.Store.Adjustments(ctx, sku, before, limit+1) // one more tells whether there is a next page
	if err != nil || len(all) <= limit {
		return AdjustmentPage{Adjustments: all}, err
	}
	return AdjustmentPage{Adjustments: all[:limit], More: true}, nil
}

// SetThreshold changes from how many pieces on the stock counts as low.
func (i *Inventory) SetThreshold(ctx context.Context, sku string, pieces int64) (Detail, error) {
	if !ValidSKU(sku) {
		return Detail{}, ErrUnknownSKU
	}
	if err := CheckThreshold(pieces); err != nil {
		return Detail{}, err
	}
	return i.Store.SetThreshold(ctx, sku, pieces)
}
