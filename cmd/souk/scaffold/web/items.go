package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/cmd/souk/scaffold/app"
	"souk/internal/errs"
	"souk/internal/identity"
	"souk/internal/web"
)

// input is what a client says about an item, new or to be renamed.
type input struct {
	Name string `json:"name"`
}

func (a *API) create(c *fiber.Ctx) error {
	once, err := onceOf(c)
	if err != nil {
		return err
	}
	var in input
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	item, replayed, err := a.Items.Create(web.Context(c), in.Name, once)
	if err != nil {
		return err
	}
	if replayed {
		web.Replayed(c)
	}
	c.Location("/v1/items/" + item.ID.String())
	return send(c, fiber.StatusCreated, item)
}

func (a *API) list(c *fiber.Ctx) error {
	q := web.Query(c)
	limit := q.Int("limit", int64(a.PageSize()), 1, app.MaxPage)
	cursor := q.String("cursor", "")
	if err := q.Err(); err != nil {
		return err
	}
	scope := "items?" + q.Scope("cursor", "limit")
	var before uuid.UUID
	if cursor != "" {
		if err := web.DecodeCursor(scope, cursor, &before); err != nil {
			return err
		}
	}
	page, err := a.Items.List(web.Context(c), before, int(limit))
	if err != nil {
		return err
	}
	next := ""
	if page.More {
		next = web.EncodeCursor(scope, page.Items[len(page.Items)-1].ID)
	}
	return web.SendPage(c, page.Items, next)
}

func (a *API) read(c *fiber.Ctx) error {
	id, err := idOf(c)
	if err != nil {
		return err
	}
	item, err := a.Items.Item(web.Context(c), id)
	if err != nil || web.NotModified(c, item.Version) {
		return err
	}
	return send(c, fiber.StatusOK, item)
}

// rename takes a merge patch (RFC 7396), of which name is the one member that there is, and has to be.
func (a *API) rename(c *fiber.Ctx) error {
	id, err := idOf(c)
	if err != nil {
		return err
	}
	match, err := web.IfMatchSet(c)
	if err != nil {
		return err
	}
	var in input
	if err := web.JSON(c, &in, web.MergePatchType); err != nil {
		return err
	}
	item, err := a.Items.Rename(web.Context(c), id, match.Allows, in.Name)
	if err != nil {
		return err
	}
	return send(c, fiber.StatusOK, item)
}

func send(c *fiber.Ctx, status int, item app.Item) error {
	web.ETag(c, item.Version)
	return web.Send(c, status, item)
}

// idOf is the id in the path. What can't be one is the id of no item.
func idOf(c *fiber.Ctx) (uuid.UUID, error) {
	text, err := web.Param(c, "id")
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text { // Parse takes other spellings too
		return uuid.Nil, app.ErrNotFound
	}
	return id, nil
}

// onceOf is the request's Idempotency-Key, nil if it has none. Who asks is the service that calls, as requests carry
// no user yet.
func onceOf(c *fiber.Ctx) (*app.Once, error) {
	key, fingerprint, err := web.IdempotencyKey(c)
	if err != nil || key == "" {
		return nil, err
	}
	caller, err := identity.PeerService(web.PeerCertificate(c))
	if err != nil {
		return nil, errs.New(errs.Unauthenticated, "client-certificate-unknown", "an Idempotency-Key needs a client certificate of a Souk service").Because(err)
	}
	return &app.Once{Principal: "service/" + caller, Route: c.Method() + " " + c.Route().Path, Key: key, Fingerprint: fingerprint}, nil
}
