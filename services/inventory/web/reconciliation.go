package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/errs"
	httpserver "souk/internal/web"
	"souk/services/inventory/app"
)

// maxCompared is how many entries reconcile may ask for at a time.
const maxCompared = 1000

// part of a list for reconcile; it goes on after next, unless that is "".
type part[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// held lists all reservations, a part at a time, in the order of the orders' ids.
func (h handlers) held(c *fiber.Ctx) error {
	after, limit, err := from(c)
	if err != nil {
		return err
	}
	id := uuid.Nil
	if after != "" {
		if id, err = uuid.Parse(after); err != nil {
			return errs.New(errs.Invalid, "bad-query", "the query has parameters that are not accepted").With(errs.Field{Pointer: "?after", Detail: "must be an order's id"})
		}
	}
	items, err := h.inventory.Held(httpserver.Context(c), id, limit)
	if err != nil {
		return err
	}
	return httpserver.Send(c, http.StatusOK, partOf(items, limit, func(r app.Held) string { return r.OrderID.String() }))
}

// totals lists what the books say of each SKU.
func (h handlers) totals(c *fiber.Ctx) error {
	after, limit, err := from(c)
	if err != nil {
		return err
	}
	items, err := h.inventory.Totals(httpserver.Context(c), after, limit)
	if err != nil {
		return err
	}
	return httpserver.Send(c, http.StatusOK, partOf(items, limit, func(t app.Totals) string { return t.SKU }))
}

func from(c *fiber.Ctx) (after string, limit int, err error) {
	q := httpserver.Query(c)
	after = q.String("after", "")
	limit = int(q.Int("limit", maxCompared, 1, maxCompared))
	return after, limit, q.Err()
}

func partOf[T any](items []T, limit int, key func(T) string) part[T] {
	p := part[T]{Items: items}
	if len(items) == limit {
		p.Next = key(items[limit-1])
	}
	return p
}
