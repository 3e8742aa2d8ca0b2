package web

import (
	"errors"
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	httpserver "souk/internal/web"
	"souk/services/users/app"
)

// mailContent gives the text's parts of a mail that is to be sent now, with a link that was made for this answer.
func (h handlers) mailContent(c *fiber.Ctx) error {
	id, err := idOf(c, app.ErrGone)
	if err != nil {
		return gone(err)
	}
	mail, err := h.accounts.MailContent(httpserver.Context(c), id)
	if err != nil {
		return gone(err)
	}
	return httpserver.Send(c, http.StatusOK, mail)
}

// contacts gives many addresses at once: each order has a mail, and one question for each would cost more than the mail.
func (h handlers) contacts(c *fiber.Ctx) error {
	var in struct {
		IDs []uuid.UUID `json:"ids"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	contacts, err := h.accounts.Contacts(httpserver.Context(c), in.IDs)
	if err != nil {
		return err
	}
	return httpserver.Send(c, http.StatusOK, map[string][]app.Contact{"contacts": contacts})
}

// gone is 410 for what was there, which no errs.Kind has: the caller need not ask again.
func gone(err error) error {
	if errors.Is(err, app.ErrGone) {
		return fiber.ErrGone
	}
	return err
}
