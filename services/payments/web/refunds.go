package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
	httpserver "souk/internal/web"
	"souk/services/payments/app"
)

// refund answers 201 also while the provider has not answered: the refund is there, pending.
func (h handlers) refund(c *fiber.Ctx) error {
	once, err := mustOnce(c)
	if err != nil {
		return err
	}
	var in struct {
		Intent uuid.UUID     `json:"payment_intent_id"`
		Amount *money.Amount `json:"amount"`
		Reason string        `json:"reason"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	a, err := h.payments.Refund(httpserver.Context(c), in.Intent, in.Amount, in.Reason, once)
	if err != nil {
		return err
	}
	return send(c, fiber.StatusCreated, a)
}

func (h handlers) refunds(c *fiber.Ctx) error {
	q := httpserver.Query(c)
	limit := q.Int("limit", int64(h.pageSize()), 1, app.MaxPage)
	cursor := q.String("cursor", "")
	intent, err := idIn(q, "payment_intent_id")
	if err != nil {
		return err
	}
	scope := "refunds?" + q.Scope("cursor", "limit")
	var before uuid.UUID
	if cursor != "" {
		if err := httpserver.DecodeCursor(scope, cursor, &before); err != nil {
			return err
		}
	}
	page, err := h.payments.Refunds(httpserver.Context(c), intent, who(c), before, int(limit))
	if err != nil && !isNotFound(err) { // of an intent that is not there, or not the caller's, there are none
		return err
	}
	shown := make([]app.RefundView, len(page.Refunds))
	for k, r := range page.Refunds {
		shown[k] = r.View()
	}
	next := ""
	if page.More {
		next = httpserver.EncodeCursor(scope, page.Refunds[len(page.Refunds)-1].ID)
	}
	return httpserver.SendPage(c, shown, next)
}

func isNotFound(err error) bool { return errs.KindOf(err) == errs.NotFound }
