package web

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/users/app"
)

func (h handlers) readMe(c *fiber.Ctx) error { return h.sendUser(c, tokens.Of(c).User) }

// sendUser answers with a user, or that the client has this version already.
func (h handlers) sendUser(c *fiber.Ctx, id uuid.UUID) error {
	if err := httpserver.Query(c).Err(); err != nil {
		return err
	}
	user, err := h.accounts.User(httpserver.Context(c), id)
	if err != nil {
		return err
	}
	if httpserver.NotModified(c, user.Version) {
		return nil
	}
	return httpserver.Send(c, http.StatusOK, user)
}

func (h handlers) changeMe(c *fiber.Ctx) error {
	match, err := matching(c)
	if err != nil {
		return err
	}
	var patch profilePatch
	if err := httpserver.JSON(c, &patch, httpserver.MergePatchType); err != nil {
		return err
	}
	user, err := h.accounts.Update(httpserver.Context(c), tokens.Of(c).User, match, patch.change())
	if err != nil {
		return err
	}
	httpserver.ETag(c, user.Version)
	return httpserver.Send(c, http.StatusOK, user)
}

// matching is If-Match as the use cases ask it.
func matching(c *fiber.Ctx) (func(version int64) error, error) {
	m, err := httpserver.IfMatchSet(c)
	return func(version int64) error {
		if !m.Allows(version) {
			return app.ErrStale
		}
		return nil
	}, err
}

func (h handlers) eraseMe(c *fiber.Ctx) error {
	if err := tokens.Recent(c, recent); err != nil {
		return err
	}
	if err := h.accounts.Erase(httpserver.Context(c), tokens.Of(c).User); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

func (h handlers) changePassword(c *fiber.Ctx) error {
	var in struct {
		CurrentPassword string `json:"current_password"`
		NewPassword     string `json:"new_password"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	p := tokens.Of(c)
	err := h.accounts.ChangePassword(httpserver.Context(c), p.User, p.Session, in.CurrentPassword, in.NewPassword, httpserver.ClientIP(c))
	if err != nil {
		return atNewPassword(err)
	}
	return c.SendStatus(http.StatusNoContent)
}

func (h handlers) export(c *fiber.Ctx) error {
	if err := httpserver.Query(c).Err(); err != nil {
		return err
	}
	data, err := h.accounts.Export(httpserver.Context(c), tokens.Of(c).User)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="souk-account.json"`)
	return httpserver.Send(c, http.StatusOK, data)
}
