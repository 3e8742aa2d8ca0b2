package web

import (
	"cmp"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/money"
	httpserver "souk/internal/web"
	"souk/services/orders/app"
)

// cartView is a cart as clients see it.
type cartView struct {
	ID        uuid.UUID      `json:"id"`
	Version   int64          `json:"version"`
	Currency  string         `json:"currency"`
	Status    app.CartStatus `json:"status"`
	Items     []itemView     `json:"items"`
	Total     money.Amount   `json:"total"`
	ExpiresAt time.Time      `json:"expires_at"`
	OrderID   uuid.UUID      `json:"order_id,omitzero"`
	Token     string         `json:"token,omitzero"` // of a new anonymous one, this once
}

type itemView struct {
	SKU       string       `json:"sku"`
	ProductID uuid.UUID    `json:"product_id"`
	Name      string       `json:"name"`
	Quantity  int64        `json:"quantity"`
	UnitPrice money.Amount `json:"unit_price"`
	Total     money.Amount `json:"total"`
	Available bool         `json:"available_for_sale"`
}

func (h cartHandlers) view(cart *app.Cart) cartView {
	v := cartView{
		ID: cart.ID, Version: cart.Version, Status: cart.Status(), Items: make([]itemView, len(cart.Lines)), Total: cart.Total(),
		ExpiresAt: cart.ExpiresAt, OrderID: cart.Order,
	}
	// An empty cart whose currency nobody has said is shown in the shop's, and takes that of its first item.
	v.Currency = cmp.Or(cart.Currency, h.carts.Settings().Currency)
	v.Total.Currency = v.Currency
	for i, l := range cart.Lines {
		v.Items[i] = itemView{
			SKU: l.SKU, ProductID: l.ProductID, Name: l.Name, Quantity: l.Quantity, Available: l.Available,
			UnitPrice: money.Amount{Minor: l.UnitPrice, Currency: cart.Currency}, Total: cart.LineTotal(i),
		}
	}
	return v
}

func (h cartHandlers) send(c *fiber.Ctx, status int, cart *app.Cart, token string) error {
	httpserver.ETag(c, cart.Version)
	v := h.view(cart)
	v.Token = token
	return httpserver.Send(c, status, v)
}
