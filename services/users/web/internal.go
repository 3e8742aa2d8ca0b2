package web

import (
	"errors"
	"net/http"

	"github.com/gofiber/fiber/v2"

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

func (h handlers) contact(c *fiber.Ctx) error {
	id, err := idOf(c, app.ErrUserNotFound)
	if err != nil {
		return err
	}
	contact, err := h.accounts.Contact(httpserver.Context(c), id)
	if err != nil {
		return gone(err)
	}
	return httpserver.Send(c, http.StatusOK, contact)
}

// gone is 410 for what was there, which no errs.Kind has: the caller need not ask again.
func gone(err error) error {
	if errors.Is(err, app.ErrGone) {
		return fiber.ErrGone
	}
	return err
}
