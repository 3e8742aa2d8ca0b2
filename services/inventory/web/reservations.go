package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	httpserver "souk/internal/web"
	"souk/services/inventory/app"
)

func (h handlers) reservation(c *fiber.Ctx) error {
	text, err := plain(c, "order_id")
	if err != nil {
		return err
	}
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text { // Parse takes other spellings too
		return app.ErrNoReservation
	}
	reservation, err := h.inventory.Reservation(httpserver.Context(c), id)
	if err != nil {
		return err
	}
	return httpserver.Send(c, http.StatusOK, reservation)
}
