package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/inventory/app"
)

func (h handlers) adjust(c *fiber.Ctx) error {
	sku, err := plain(c, "sku")
	if err != nil {
		return err
	}
	key, fingerprint, err := httpserver.RequireIdempotencyKey(c)
	if err != nil {
		return err
	}
	var in struct {
		Location string     `json:"location"`
		Delta    int64      `json:"delta"`
		Reason   app.Reason `json:"reason"`
		Note     string     `json:"note"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	once := app.Once{Principal: tokens.Of(c).Key(), Route: c.Method() + " " + c.Route().Path, Key: key, Fingerprint: fingerprint}
	made, replayed, err := h.inventory.Adjust(httpserver.Context(c), sku, in.Location, in.Delta, in.Reason, in.Note, once)
	if err != nil {
		return err
	}
	if replayed {
		httpserver.Replayed(c)
	}
	return httpserver.Send(c, http.StatusCreated, made)
}

func (h handlers) adjustments(c *fiber.Ctx) error {
	sku, err := httpserver.Param(c, "sku")
	if err != nil {
		return err
	}
	q := httpserver.Query(c)
	limit := q.Int("limit", int64(h.pageSize()), 1, app.MaxPage)
	cursor := q.String("cursor", "")
	if err := q.Err(); err != nil {
		return err
	}
	scope := "adjustments/" + sku
	var before uuid.UUID
	if cursor != "" {
		if err := httpserver.DecodeCursor(scope, cursor, &before); err != nil {
			return err
		}
	}
	page, err := h.inventory.Adjustments(httpserver.Context(c), sku, before, int(limit))
	if err != nil {
		return err
	}
	next := ""
	if page.More {
		next = httpserver.EncodeCursor(scope, page.Adjustments[len(page.Adjustments)-1].ID)
	}
	return httpserver.SendPage(c, page.Adjustments, next)
}
