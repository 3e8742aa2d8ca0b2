package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/errs"
	httpserver "souk/internal/web"
	"souk/services/orders/app"
)

const (
	reconciliationPage = 500
	reconciliationMost = 1000
)

// accounts is a page of what orders hold; Next is the id to ask for what comes after, "" on the last page.
type accounts struct {
	Items []app.Account `json:"items"`
	Next  string        `json:"next"`
}

// reconciliation is for the program that compares orders with stock and money.
func (h orderHandlers) reconciliation(c *fiber.Ctx) error {
	q := httpserver.Query(c)
	limit := int(q.Int("limit", reconciliationPage, 1, reconciliationMost))
	text := q.String("after", "")
	if err := q.Err(); err != nil {
		return err
	}
	after := uuid.Nil
	if text != "" {
		var err error
		if after, err = uuid.Parse(text); err != nil {
			return errs.New(errs.Invalid, "invalid-query", "the query is malformed").With(errs.Field{Pointer: "?after", Detail: "must be the id of an order"})
		}
	}
	items, err := h.orders.Reconciliation(httpserver.Context(c), after, limit+1) // one more tells whether there is a next page
	if err != nil {
		return err
	}
	page := accounts{Items: items}
	if len(items) > limit {
		page.Items, page.Next = items[:limit], items[limit-1].OrderID.String()
	}
	return httpserver.Send(c, fiber.StatusOK, page)
}
