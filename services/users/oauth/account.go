package oauth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/web"
	"souk/services/users/app"
)

// The links in mails lead here. Opening one changes nothing, since programs that scan mail open them too; the form does.

func (s *Server) showVerify(c *fiber.Ctx) error {
	token, err := linkToken(c)
	if err != nil {
		return err
	}
	return s.show(c, http.StatusOK, "verify", view{Title: "Confirm your e-mail address", Data: map[string]any{"Token": token}})
}

func (s *Server) verify(c *fiber.Ctx) error {
	field, err := s.form(c)
	if err != nil {
		return err
	}
	if err := s.opts.Accounts.VerifyEmail(web.Context(c), field("token")); err != nil {
		return linkError(err)
	}
	return s.show(c, http.StatusOK, "done", view{Title: "Your e-mail address is confirmed", Data: map[string]any{"Text": "You can log in now."}})
}

func (s *Server) showReset(c *fiber.Ctx) error {
	token, err := linkToken(c)
	if err != nil {
		return err
	}
	return s.showResetForm(c, http.StatusOK, token, "")
}

func (s *Server) showResetForm(c *fiber.Ctx, status int, token, problem string) error {
	return s.show(c, status, "reset", view{Title: "Choose a new password", Data: map[string]any{"Token": token, "Error": problem}})
}

func (s *Server) reset(c *fiber.Ctx) error {
	field, err := s.form(c)
	if err != nil {
		return err
	}
	token, password := field("token"), field("password")
	if password != field("repeated") {
		return s.showResetForm(c, http.StatusUnprocessableEntity, token, "The two passwords are not the same.")
	}
	err = s.opts.Accounts.ResetPassword(web.Context(c), token, password)
	known := (*errs.Error)(nil)
	switch {
	case err == nil:
		return s.show(c, http.StatusOK, "done", view{Title: "Your password is changed", Data: map[string]any{
			"Text": "You have been logged out everywhere. Log in with the new password.",
		}})
	case errors.Is(err, app.ErrLinkInvalid):
		return linkError(err)
	case errors.As(err, &known) && (known.Kind == errs.Unprocessable || isBusy(err)):
		return s.showResetForm(c, known.Kind.Status(), token, sentence(known))
	}
	return err
}

// linkToken is the parameter token of a link in a mail.
func linkToken(c *fiber.Ctx) (string, error) {
	values, err := parameters(string(c.Request().URI().QueryString()))
	token := values.Get("token")
	if err != nil || token == "" || len(token) > 128 || !printable(token) {
		return "", linkError(app.ErrLinkInvalid)
	}
	return token, nil
}

func linkError(err error) error {
	if !errors.Is(err, app.ErrLinkInvalid) && !errors.Is(err, app.ErrGone) {
		return err
	}
	return &pageError{status: http.StatusGone, title: "This link does not work any more",
		detail: "It has been used, has run out, or is not complete. Ask for a new one, and use the newest mail."}
}

// sentence is what an error says to a person.
func sentence(e *errs.Error) string {
	text := e.Detail
	for _, f := range e.Fields {
		name := strings.ReplaceAll(strings.TrimPrefix(f.Pointer, "/"), "_", " ")
		text = strings.TrimSpace(name + " " + f.Detail)
	}
	if text == "" {
		text = "that did not work; try again"
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
