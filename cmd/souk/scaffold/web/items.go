package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/cmd/souk/scaffold/app"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
)

// input is what a client says about an item, new or to be renamed.
type input struct {
	Name string `json:"name"`
}

func (h handlers) create(c *fiber.Ctx) error {
	once, err := onceOf(c)
	if err != nil {
		return err
	}
	var in input
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	item, replayed, err := h.items.Create(httpserver.Context(c), in.Name, once)
	if err != nil {
		return err
	}
	if replayed {
		httpserver.Replayed(c)
	}
	c.Location("/v1/items/" + item.ID.String())
	return send(c, fiber.StatusCreated, item)
}

func (h handlers) list(c *fiber.Ctx) error {
	q := httpserver.Query(c)
	limit := q.Int("limit", int64(h.pageSize()), 1, app.MaxPage)
	cursor := q.String("cursor", "")
	if err := q.Err(); err != nil {
		return err
	}
	scope := "items?" + q.Scope("cursor", "limit")
	var before uuid.UUID
	if cursor != "" {
		if err := httpserver.DecodeCursor(scope, cursor, &before); err != nil {
			return err
		}
	}
	page, err := h.items.List(httpserver.Context(c), before, int(limit))
	if err != nil {
		return err
	}
	next := ""
	if page.More {
		next = httpserver.EncodeCursor(scope, page.Items[len(page.Items)-1].ID)
	}
	return httpserver.SendPage(c, page.Items, next)
}

func (h handlers) read(c *fiber.Ctx) error {
	id, err := idOf(c)
	if err != nil {
		return err
	}
	if err := httpserver.Query(c).Err(); err != nil { // there are no parameters
		return err
	}
	item, err := h.items.Item(httpserver.Context(c), id)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-cache") // caches may keep it, but ask each time
	if httpserver.NotModified(c, item.Version) {
		return nil
	}
	return send(c, fiber.StatusOK, item)
}

// rename takes a merge patch (RFC 7396), of which name is the one member that there is, and has to be.
func (h handlers) rename(c *fiber.Ctx) error {
	id, err := idOf(c)
	if err != nil {
		return err
	}
	match, err := httpserver.IfMatchSet(c)
	if err != nil {
		return err
	}
	var in input
	if err := httpserver.JSON(c, &in, httpserver.MergePatchType); err != nil {
		return err
	}
	item, err := h.items.Rename(httpserver.Context(c), id, match.Allows, in.Name)
	if err != nil {
		return err
	}
	return send(c, fiber.StatusOK, item)
}

func send(c *fiber.Ctx, status int, item app.Item) error {
	httpserver.ETag(c, item.Version)
	return httpserver.Send(c, status, item)
}

// idOf is the id in the path. What can't be one is the id of no item.
func idOf(c *fiber.Ctx) (uuid.UUID, error) {
	text, err := httpserver.Param(c, "id")
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text { // Parse takes other spellings too
		return uuid.Nil, app.ErrNotFound
	}
	return id, nil
}

// onceOf is the request's Idempotency-Key, nil if it has none. It belongs to whom the token speaks for.
func onceOf(c *fiber.Ctx) (*app.Once, error) {
	key, fingerprint, err := httpserver.IdempotencyKey(c)
	if err != nil || key == "" {
		return nil, err
	}
	return &app.Once{Principal: tokens.Of(c).Key(), Route: c.Method() + " " + c.Route().Path, Key: key, Fingerprint: fingerprint}, nil
}
