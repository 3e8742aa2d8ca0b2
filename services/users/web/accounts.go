package web

import (
	"errors"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	httpserver "souk/internal/web"
	"souk/services/users/app"
)

// accepted is the answer to whoever asks for a mail: the same for an e-mail that has an account and for one that has none.
type accepted struct {
	Message string `json:"message"`
}

func mailed(c *fiber.Ctx) error {
	return httpserver.Send(c, http.StatusAccepted, accepted{"If the e-mail can get what was asked for, a mail with a link is on its way."})
}

func (h handlers) register(c *fiber.Ctx) error {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
		Name     string `json:"name"`
		Locale   string `json:"locale"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	err := h.accounts.Register(httpserver.Context(c), app.Registration{
		Email: in.Email, Password: in.Password, Name: in.Name, Locale: in.Locale, From: httpserver.ClientIP(c),
	})
	if err != nil {
		return err
	}
	return mailed(c)
}

func (h handlers) verifyEmail(c *fiber.Ctx) error {
	var in struct {
		Token string `json:"token"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	if err := h.accounts.VerifyEmail(httpserver.Context(c), in.Token); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

type emailOnly struct {
	Email string `json:"email"`
}

func (h handlers) resend(c *fiber.Ctx) error {
	var in emailOnly
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	if err := h.accounts.ResendVerification(httpserver.Context(c), in.Email); err != nil {
		return err
	}
	return mailed(c)
}

func (h handlers) requestReset(c *fiber.Ctx) error {
	var in emailOnly
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	if err := h.accounts.RequestReset(httpserver.Context(c), in.Email); err != nil {
		return err
	}
	return mailed(c)
}

func (h handlers) resetPassword(c *fiber.Ctx) error {
	var in struct {
		Token       string `json:"token"`
		NewPassword string `json:"new_password"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	if err := h.accounts.ResetPassword(httpserver.Context(c), in.Token, in.NewPassword); err != nil {
		return atNewPassword(err)
	}
	return c.SendStatus(http.StatusNoContent)
}

// atNewPassword names the member where these bodies have the password that a rule refuses.
func atNewPassword(err error) error {
	var e *errs.Error
	if !errors.As(err, &e) {
		return err
	}
	moved := *e
	moved.Fields = nil
	for _, f := range e.Fields {
		if f.Pointer == "/password" {
			f.Pointer = "/new_password"
		}
		moved.Fields = append(moved.Fields, f)
	}
	return &moved
}
