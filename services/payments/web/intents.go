package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/money"
	httpserver "souk/internal/web"
	"souk/services/payments/app"
)

func (h handlers) create(c *fiber.Ctx) error {
	once, err := mustOnce(c)
	if err != nil {
		return err
	}
	var in struct {
		Amount        money.Amount `json:"amount"`
		Method        string       `json:"payment_method"`
		CaptureMethod string       `json:"capture_method"`
		Reference     string       `json:"reference"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	if in.CaptureMethod == "" {
		in.CaptureMethod = app.Automatic
	}
	a, err := h.payments.Create(httpserver.Context(c), app.NewPayment(in), once)
	if err != nil {
		return err
	}
	c.Location("/v1/payment-intents/" + a.ID.String())
	return send(c, fiber.StatusCreated, a)
}

func (h handlers) confirm(c *fiber.Ctx) error {
	id, once, err := moved(c)
	if err != nil {
		return err
	}
	var in struct {
		Method string `json:"payment_method"`
	}
	if err := optional(c, &in); err != nil {
		return err
	}
	a, err := h.payments.Confirm(httpserver.Context(c), id, in.Method, once)
	return sendMoved(c, a, err)
}

func (h handlers) capture(c *fiber.Ctx) error {
	id, once, err := moved(c)
	if err != nil {
		return err
	}
	if err := optional(c, &struct{}{}); err != nil {
		return err
	}
	a, err := h.payments.Capture(httpserver.Context(c), id, once)
	return sendMoved(c, a, err)
}

func (h handlers) cancel(c *fiber.Ctx) error {
	id, once, err := moved(c)
	if err != nil {
		return err
	}
	var in struct {
		Reason string `json:"reason"`
	}
	if err := optional(c, &in); err != nil {
		return err
	}
	a, err := h.payments.Cancel(httpserver.Context(c), id, in.Reason, once)
	return sendMoved(c, a, err)
}

// moved is which intent is to be moved.
func moved(c *fiber.Ctx) (uuid.UUID, *app.Once, error) {
	id, err := idOf(c)
	if err != nil {
		return id, nil, err
	}
	once, err := onceOf(c)
	return id, once, err
}

// optional reads a body that may be missing.
func optional(c *fiber.Ctx, v any) error {
	if len(c.Body()) == 0 && c.Get(fiber.HeaderContentType) == "" {
		return nil
	}
	return httpserver.JSON(c, v)
}

// sendMoved answers 202 while the provider has not answered: the intent is to be read again.
func sendMoved(c *fiber.Ctx, a app.Answer, err error) error {
	switch {
	case err != nil:
		return err
	case !a.Final:
		return send(c, fiber.StatusAccepted, a)
	}
	return send(c, fiber.StatusOK, a)
}

func send(c *fiber.Ctx, status int, a app.Answer) error {
	if a.Replayed {
		httpserver.Replayed(c)
	}
	if a.Version > 0 {
		httpserver.ETag(c, a.Version)
	}
	c.Response().Header.SetContentType(httpserver.JSONType)
	c.Response().SetBodyRaw(a.Body)
	c.Status(status)
	return nil
}

func (h handlers) read(c *fiber.Ctx) error {
	id, err := idOf(c)
	if err != nil {
		return err
	}
	if err := httpserver.Query(c).Err(); err != nil { // there are no parameters
		return err
	}
	i, err := h.payments.Intent(httpserver.Context(c), id, who(c))
	if err != nil {
		return err
	}
	if httpserver.NotModified(c, i.Version) {
		return nil
	}
	return httpserver.Send(c, fiber.StatusOK, i.View())
}

// ofOrder lists the payments of an order: one, or none.
func (h handlers) ofOrder(c *fiber.Ctx) error {
	order, err := idIn(httpserver.Query(c), "order_id")
	if err != nil {
		return err
	}
	found := []app.View{}
	i, err := h.payments.IntentOfOrder(httpserver.Context(c), order, who(c))
	switch {
	case err == nil:
		found = append(found, i.View())
	case !isNotFound(err):
		return err
	}
	return httpserver.SendPage(c, found, "")
}
