package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/errs"
	httpserver "souk/internal/web"
	"souk/services/payments/app"
)

// positionPage is a page of the reconciliation, ascending by order.
type positionPage struct {
	Items []app.Position `json:"items"`
	Next  string         `json:"next"` // the order's id after which the next page begins; "" on the last
}

func (h handlers) positions(c *fiber.Ctx) error {
	q := httpserver.Query(c)
	limit := int(q.Int("limit", 500, 1, 1000))
	text := q.String("after", "")
	if err := q.Err(); err != nil {
		return err
	}
	after := uuid.Nil
	if text != "" {
		var err error
		if after, err = uuid.Parse(text); err != nil {
			return errs.New(errs.Invalid, "bad-query", "the query can't be read").With(errs.Field{Pointer: "?after", Detail: "must be an id"})
		}
	}
	all, err := h.payments.Positions(httpserver.Context(c), after, limit)
	if err != nil {
		return err
	}
	page := positionPage{Items: all}
	if len(all) == 0 {
		page.Items = []app.Position{}
	}
	if len(all) == limit {
		page.Next = all[limit-1].OrderID.String()
	}
	return httpserver.Send(c, fiber.StatusOK, page)
}

// totals of the ledger; the sum over all accounts is zero.
func (h handlers) totals(c *fiber.Ctx) error {
	balances, err := h.payments.Balance(httpserver.Context(c))
	if err != nil {
		return err
	}
	out := struct {
		Sum        int64         `json:"ledger_sum"`
		Currencies []app.Balance `json:"currencies"`
	}{Currencies: append([]app.Balance{}, balances...)}
	for _, b := range balances {
		out.Sum += b.Sum
	}
	return httpserver.Send(c, fiber.StatusOK, out)
}
