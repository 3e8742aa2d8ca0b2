package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/users/app"
)

func (h handlers) logIn(c *fiber.Ctx) error {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	if in.Email == "" || in.Password == "" { // not a guess, so it is not counted as one
		return errs.New(errs.Unprocessable, "missing-credentials", "a login needs an e-mail and a password").
			With(errs.Field{Pointer: "/email", Detail: "is required"}, errs.Field{Pointer: "/password", Detail: "is required"})
	}
	ctx, from := httpserver.Context(c), httpserver.ClientIP(c)
	user, err := h.accounts.LogIn(ctx, in.Email, in.Password, from)
	if err != nil {
		return err
	}
	made, err := h.open(ctx, user, c.Get(fiber.HeaderUserAgent), from.String())
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderLocation, "/v1/users/me/sessions/"+made.SessionID)
	return httpserver.Send(c, http.StatusCreated, made)
}

// session is one of the list: current is the one that asks.
type session struct {
	app.Session
	Current bool `json:"current"`
}

func (h handlers) listSessions(c *fiber.Ctx) error {
	if err := httpserver.Query(c).Err(); err != nil {
		return err
	}
	p := tokens.Of(c)
	all, err := h.sessions.List(httpserver.Context(c), p.User)
	if err != nil {
		return err
	}
	items := make([]session, 0, len(all))
	for _, s := range all {
		items = append(items, session{s, s.ID == p.Session})
	}
	return httpserver.Send(c, http.StatusOK, httpserver.Page[session]{Items: items})
}

func (h handlers) endSession(c *fiber.Ctx) error {
	id, err := idOf(c, app.ErrNoSession)
	if err != nil {
		return err
	}
	if err := h.sessions.Revoke(httpserver.Context(c), tokens.Of(c).User, id); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

func (h handlers) endSessions(c *fiber.Ctx) error {
	r := httpserver.Query(c)
	others := r.Enum("others", "false", "true", "false")
	if err := r.Err(); err != nil {
		return err
	}
	p, keep := tokens.Of(c), uuid.Nil
	if others == "true" {
		keep = p.Session
	}
	if err := h.sessions.RevokeAll(httpserver.Context(c), p.User, keep); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}
