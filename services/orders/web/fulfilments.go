package web

import (
	"github.com/gofiber/fiber/v2"

	httpserver "souk/internal/web"
	"souk/services/orders/app"
)

func (h orderHandlers) fulfil(c *fiber.Ctx) error {
	id, err := orderOf(c)
	if err != nil {
		return err
	}
	once, err := onceOf(c)
	if err != nil {
		return err
	}
	var in struct {
		Lines    []app.FulfilledLine `json:"lines"`
		Tracking string              `json:"tracking"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	answer, replayed, err := h.orders.Fulfil(httpserver.Context(c), once, id, app.Fulfilment{Lines: in.Lines, Tracking: in.Tracking})
	if err != nil {
		return err
	}
	return sendAnswer(c, fiber.StatusCreated, answer, replayed)
}

func (h orderHandlers) listFulfilments(c *fiber.Ctx) error {
	id, err := orderOf(c)
	if err != nil {
		return err
	}
	all, err := h.orders.Fulfilments(httpserver.Context(c), reader(c, "orders:read"), id)
	if err != nil {
		return err
	}
	return httpserver.SendPage(c, all, "")
}
