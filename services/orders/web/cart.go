package web

import (
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/orders/app"
)

// cartRoutes: a cart is for whoever may see it, which the handlers ask the cart itself: its user, or who has the token of
// one that is nobody's. Whoever shows an access token at all shows a good one with the scope orders.
func cartRoutes(r fiber.Router, carts *app.Carts, verifier *tokens.Verifier, pageSize func() int) {
	h := cartHandlers{carts, pageSize}
	anybody, user := verifier.Optional("orders"), verifier.Require("orders")

	r.Post("/v1/carts", private, anybody, noService, h.create)
	r.Get("/v1/carts", private, user, noService, h.list)
	r.Get("/v1/carts/:id", private, anybody, h.read)
	r.Delete("/v1/carts/:id", private, anybody, h.delete)
	r.Put("/v1/carts/:id/items/:sku", private, anybody, h.put)
	r.Delete("/v1/carts/:id/items/:sku", private, anybody, h.remove)
	r.Post("/v1/carts/:id/merge", private, user, noService, h.merge)
}

type cartHandlers struct {
	carts    *app.Carts
	pageSize func() int
}

// noService lets everybody pass but services' tokens: a service buys nothing.
func noService(c *fiber.Ctx) error {
	if tokens.Of(c) == nil {
		return c.Next()
	}
	return usersOnly(c)
}

// cartTokenHeader carries the token of an anonymous cart.
const cartTokenHeader = "Cart-Token"

// visitor is who asks. Its token lives as long as the request.
func visitor(c *fiber.Ctx) app.Visitor {
	return app.Visitor{User: userOf(c), Token: c.Get(cartTokenHeader)}
}

// userOf is Nil for nobody, and for a service.
func userOf(c *fiber.Ctx) uuid.UUID {
	if p := tokens.Of(c); p != nil {
		return p.User
	}
	return uuid.Nil
}

func (h cartHandlers) create(c *fiber.Ctx) error {
	var in struct {
		Currency string `json:"currency"`
		Items    []struct {
			SKU      string `json:"sku"`
			Quantity int64  `json:"quantity"`
		} `json:"items"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	items := make([]app.Item, len(in.Items))
	for i, item := range in.Items {
		items[i] = app.Item(item)
	}
	cart, token, err := h.carts.Create(httpserver.Context(c), userOf(c), in.Currency, items)
	if err != nil {
		return err
	}
	c.Location("/v1/carts/" + cart.ID.String())
	return h.send(c, http.StatusCreated, &cart, token)
}

func (h cartHandlers) list(c *fiber.Ctx) error {
	q := httpserver.Query(c)
	limit := q.Int("limit", int64(h.pageSize()), 1, maxCarts)
	status := q.Enum("status", "", string(app.CartOpen), string(app.CartOrdered))
	cursor := q.String("cursor", "")
	if err := q.Err(); err != nil {
		return err
	}
	f := app.CartFilter{User: userOf(c), Status: app.CartStatus(status), Limit: int(limit)}
	scope := "carts?" + q.Scope("cursor", "limit")
	if cursor != "" {
		if err := httpserver.DecodeCursor(scope, cursor, &f.Before); err != nil {
			return err
		}
	}
	page, err := h.carts.List(httpserver.Context(c), f)
	if err != nil {
		return err
	}
	next, views := "", make([]cartView, len(page.Carts))
	for i := range page.Carts {
		views[i] = h.view(&page.Carts[i])
	}
	if page.More {
		next = httpserver.EncodeCursor(scope, page.Carts[len(page.Carts)-1].ID)
	}
	return httpserver.SendPage(c, views, next)
}

// maxCarts is how many carts one page may have.
const maxCarts = 100

func (h cartHandlers) read(c *fiber.Ctx) error {
	id, err := idOf(c, app.ErrCartNotFound)
	if err != nil {
		return err
	}
	if err := httpserver.Query(c).Err(); err != nil { // there are no parameters
		return err
	}
	cart, err := h.carts.Cart(httpserver.Context(c), visitor(c), id)
	if err != nil {
		return err
	}
	return h.send(c, http.StatusOK, &cart, "")
}

func (h cartHandlers) put(c *fiber.Ctx) error {
	id, sku, allows, err := itemOf(c)
	if err != nil {
		return err
	}
	var in struct {
		Quantity int64 `json:"quantity"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	cart, err := h.carts.Put(httpserver.Context(c), visitor(c), id, allows, app.Item{SKU: sku, Quantity: in.Quantity})
	if err != nil {
		return err
	}
	return h.send(c, http.StatusOK, &cart, "")
}

func (h cartHandlers) remove(c *fiber.Ctx) error {
	id, sku, allows, err := itemOf(c)
	if err != nil {
		return err
	}
	cart, err := h.carts.Remove(httpserver.Context(c), visitor(c), id, allows, sku)
	if err != nil {
		return err
	}
	return h.send(c, http.StatusOK, &cart, "")
}

func (h cartHandlers) delete(c *fiber.Ctx) error {
	id, err := idOf(c, app.ErrCartNotFound)
	if err != nil {
		return err
	}
	allows, err := allowed(c)
	if err != nil {
		return err
	}
	if err := h.carts.Delete(httpserver.Context(c), visitor(c), id, allows); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

func (h cartHandlers) merge(c *fiber.Ctx) error {
	id, err := idOf(c, app.ErrCartNotFound)
	if err != nil {
		return err
	}
	cart, err := h.carts.Merge(httpserver.Context(c), visitor(c), id)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentLocation, "/v1/carts/"+cart.ID.String()) // which cart it is (RFC 9110, section 8.7)
	return h.send(c, http.StatusOK, &cart, "")
}

// itemOf is the line that the path names. The SKU outlives the request: others may wait for its price too.
func itemOf(c *fiber.Ctx) (id uuid.UUID, sku string, allows app.Allows, err error) {
	if id, err = idOf(c, app.ErrCartNotFound); err != nil {
		return id, "", nil, err
	}
	if sku, err = httpserver.Param(c, "sku"); err != nil {
		return id, "", nil, err
	}
	allows, err = allowed(c)
	return id, strings.Clone(sku), allows, err
}

// allowed reads If-Match, which carts do without: nil.
func allowed(c *fiber.Ctx) (app.Allows, error) {
	if len(c.Request().Header.PeekAll(fiber.HeaderIfMatch)) == 0 {
		return nil, nil
	}
	match, err := httpserver.IfMatchSet(c)
	return match.Allows, err
}
