package app

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/internal/money"
)

// OrderView is an order as its customer reads it.
type OrderView struct {
	ID         uuid.UUID    `json:"id"`
	Number     string       `json:"number"`
	Version    int64        `json:"version"`
	Status     Status       `json:"status"`
	Reason     string       `json:"reason,omitempty"`
	Settled    bool         `json:"settled"`
	Stock      Stock        `json:"stock"`
	Payment    Payment      `json:"payment"`
	Fulfilment string       `json:"fulfilment"`
	User       uuid.UUID    `json:"user_id"`
	Currency   string       `json:"currency"`
	Lines      []LineView   `json:"lines"`
	Total      money.Amount `json:"total"`
	Refunded   money.Amount `json:"refunded"`
	Method     string       `json:"payment_method"`
	Address    *Address     `json:"shipping_address,omitempty"`
	PlacedAt   time.Time    `json:"placed_at"`
	Confirmed  time.Time    `json:"confirmed_at,omitzero"`
	UpdatedAt  time.Time    `json:"updated_at"`
}

// LineView is a line of OrderView.
type LineView struct {
	SKU       string       `json:"sku"`
	ProductID uuid.UUID    `json:"product_id"`
	Name      string       `json:"name"`
	Quantity  int64        `json:"quantity"`
	UnitPrice money.Amount `json:"unit_price"`
	Total     money.Amount `json:"total"`
	Fulfilled int64        `json:"fulfilled"`
}

// View of the order with its address, nil if it has none.
func (o *Order) View(address *Address) OrderView {
	v := OrderView{
		ID: o.ID, Number: Number(o.Number), Version: o.Version, Status: o.Status, Reason: o.Reason, Settled: o.Settled(), Stock: o.Stock,
		Payment: o.Payment, Fulfilment: o.Fulfilment(), User: o.User, Currency: o.Currency, Lines: make([]LineView, len(o.Lines)),
		Total: o.Amount(o.Total), Refunded: o.Amount(o.Refunded), Method: o.Method, Address: address,
		PlacedAt: o.PlacedAt, Confirmed: o.ConfirmedAt, UpdatedAt: o.UpdatedAt,
	}
	for i, l := range o.Lines {
		v.Lines[i] = LineView{
			SKU: l.SKU, ProductID: l.ProductID, Name: l.Name, Quantity: l.Quantity, UnitPrice: o.Amount(l.UnitPrice),
			Total: o.Amount(l.Quantity * l.UnitPrice), Fulfilled: l.Fulfilled,
		}
	}
	return v
}

func (v OrderView) answer(location string) (Answer, error) { return answerOf(location, v) }

func answerOf(location string, v any) (Answer, error) {
	body, err := json.Marshal(v)
	return Answer{Location: location, Body: body}, err
}

// FulfilmentView is a fulfilment as it is read.
type FulfilmentView struct {
	ID       uuid.UUID       `json:"id"`
	Lines    []FulfilledLine `json:"lines"`
	Tracking string          `json:"tracking,omitempty"`
	At       time.Time       `json:"fulfilled_at"`
}

// View of the fulfilment.
func (f Fulfilment) View() FulfilmentView { return FulfilmentView(f) }

// EventView is an event as it is read. Its version is also the id of a server-sent event.
type EventView struct {
	Version int64     `json:"version"`
	Type    string    `json:"type"`
	At      time.Time `json:"at"`
	Data    Fact      `json:"data"`
}

// View of the event.
func (e Event) View() EventView {
	return EventView{Version: e.Version, Type: e.Fact.Kind(), At: e.At, Data: e.Fact}
}

// Account is what an order holds, for the comparison with inventory and payments.
type Account struct {
	OrderID   uuid.UUID      `json:"order_id"`
	Number    string         `json:"number"`
	Status    Status         `json:"status"`
	Settled   bool           `json:"settled"`
	Stock     Stock          `json:"stock"`
	Payment   Payment        `json:"payment"`
	Total     money.Amount   `json:"total"`
	Captured  money.Amount   `json:"captured"`
	Refunded  money.Amount   `json:"refunded"`
	Lines     []quantityData `json:"lines"`
	ChangedAt time.Time      `json:"changed_at"`
}

// Account of the order.
func (o *Order) Account() Account {
	a := Account{
		OrderID: o.ID, Number: Number(o.Number), Status: o.Status, Settled: o.Settled(), Stock: o.Stock, Payment: o.Payment,
		Total: o.Amount(o.Total), Captured: o.Amount(o.Captured), Refunded: o.Amount(o.Refunded), ChangedAt: o.UpdatedAt,
		Lines: make([]quantityData, len(o.Lines)),
	}
	for i, l := range o.Lines {
		a.Lines[i] = quantityData{l.SKU, l.Quantity}
	}
	return a
}
