package web

import (
	"errors"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/users/app"
)

// findUser lists the user of an e-mail: one, or none.
func (h handlers) findUser(c *fiber.Ctx) error {
	r := httpserver.Query(c)
	email := r.String("email", "")
	if err := r.Err(); err != nil {
		return err
	}
	canonical, err := app.CheckEmail(email)
	if err != nil {
		return inQuery(err)
	}
	items := []app.User{}
	switch user, err := h.accounts.FindByEmail(httpserver.Context(c), canonical); {
	case err == nil:
		items = append(items, user)
	case !errors.Is(err, app.ErrUserNotFound):
		return err
	}
	return httpserver.Send(c, http.StatusOK, httpserver.Page[app.User]{Items: items})
}

// inQuery names the query's parameter instead of the body's member, as a malformed request.
func inQuery(err error) error {
	bad := errs.New(errs.Invalid, "bad-query", "the query has parameters that can't be used like this")
	if e := (*errs.Error)(nil); errors.As(err, &e) {
		for _, f := range e.Fields {
			bad.Fields = append(bad.Fields, errs.Field{Pointer: "?email", Detail: f.Detail})
		}
	}
	return bad
}

func (h handlers) readUser(c *fiber.Ctx) error {
	id, err := idOf(c, app.ErrUserNotFound)
	if err != nil {
		return err
	}
	return h.sendUser(c, id)
}

func (h handlers) setRoles(c *fiber.Ctx) error {
	id, err := idOf(c, app.ErrUserNotFound)
	if err != nil {
		return err
	}
	match, err := matching(c)
	if err != nil {
		return err
	}
	var in struct {
		Roles []string `json:"roles"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	// The actor is Nil for a service's token.
	user, err := h.accounts.SetRoles(httpserver.Context(c), tokens.Of(c).User, id, match, in.Roles)
	if err != nil {
		return err
	}
	httpserver.ETag(c, user.Version)
	return httpserver.Send(c, http.StatusOK, user)
}
