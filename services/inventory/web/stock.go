package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/inventory/app"
)

// list gives the stock of SKUs; those that are not known are left out.
func (h handlers) list(c *fiber.Ctx) error {
	q := httpserver.Query(c)
	skus := q.List("skus", app.MaxSKUs)
	if err := q.Err(); err != nil {
		return err
	}
	if skus == nil {
		return errSKUsMissing
	}
	stocks, err := h.inventory.Stock(httpserver.Context(c), skus)
	if err != nil {
		return err
	}
	return httpserver.SendPage(c, stocks, "")
}

func (h handlers) one(c *fiber.Ctx) error {
	sku, err := plain(c, "sku")
	if err != nil {
		return err
	}
	if p := tokens.Of(c); p != nil && p.Has(readScope) {
		detail, err := h.inventory.Detail(httpserver.Context(c), sku)
		if err != nil {
			return err
		}
		return httpserver.Send(c, http.StatusOK, detail)
	}
	stock, err := h.inventory.One(httpserver.Context(c), sku)
	if err != nil {
		return err
	}
	return httpserver.Send(c, http.StatusOK, stock)
}

// setThreshold takes a merge patch (RFC 7396), of which the threshold is the one member that there is, and has to be.
func (h handlers) setThreshold(c *fiber.Ctx) error {
	sku, err := plain(c, "sku")
	if err != nil {
		return err
	}
	var in struct {
		Threshold *int64 `json:"low_stock_threshold"`
	}
	if err := httpserver.JSON(c, &in, httpserver.MergePatchType); err != nil {
		return err
	}
	if in.Threshold == nil {
		return app.CheckThreshold(-1)
	}
	detail, err := h.inventory.SetThreshold(httpserver.Context(c), sku, *in.Threshold)
	if err != nil {
		return err
	}
	return httpserver.Send(c, http.StatusOK, detail)
}
