package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/orders/app"
)

// placement is what a client says to order a cart. Prices are not the client's to say.
type placement struct {
	Cart    string       `json:"cart_id"`
	Version int64        `json:"cart_version"`
	Method  string       `json:"payment_method"`
	Address *app.Address `json:"shipping_address"`
}

func (h orderHandlers) place(c *fiber.Ctx) error {
	if err := httpserver.Query(c).Err(); err != nil { // there are no parameters
		return err
	}
	once, err := onceOf(c)
	if err != nil {
		return err
	}
	var in placement
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	cart, err := uuid.Parse(in.Cart)
	if err != nil || cart.String() != in.Cart {
		return app.ErrCartNotFound
	}
	answer, replayed, err := h.orders.Place(httpserver.Context(c), once, app.Placement{
		User: tokens.Of(c).User, Cart: cart, Version: in.Version, Method: in.Method, Address: in.Address,
	})
	if err != nil {
		return err
	}
	c.Location(answer.Location)
	return sendAnswer(c, fiber.StatusAccepted, answer, replayed)
}

// sendAnswer sends what is kept with the request's key, now or from the first time.
func sendAnswer(c *fiber.Ctx, status int, answer app.Answer, replayed bool) error {
	if replayed {
		httpserver.Replayed(c)
	}
	c.Set(fiber.HeaderContentType, httpserver.JSONType)
	return c.Status(status).Send(answer.Body)
}

// reader is who asks: whose orders can be seen follows from the user, or from a scope that lets all be seen.
func reader(c *fiber.Ctx, all string) app.Reader {
	p := tokens.Of(c)
	r := app.Reader{All: p.Has(all)}
	if p.Has("orders") {
		r.User = p.User
	}
	return r
}

func (h orderHandlers) list(c *fiber.Ctx) error {
	r := reader(c, "orders:read")
	q := httpserver.Query(c)
	limit := q.Int("limit", int64(h.pageSize()), 1, app.MaxPage)
	status := q.Enum("status", "", app.Statuses()...)
	cursor := q.String("cursor", "")
	whose := q.String("user_id", "")
	if err := q.Err(); err != nil {
		return err
	}
	filter := app.OrderFilter{User: r.User, Status: app.Status(status), Limit: int(limit)}
	switch {
	case whose != "":
		user, err := uuid.Parse(whose)
		if err != nil || user.String() != whose || user == uuid.Nil {
			return errs.New(errs.Invalid, "invalid-query", "the query is malformed").With(errs.Field{Pointer: "?user_id", Detail: "must be the id of a user"})
		}
		if user != r.User && !r.All {
			return errs.New(errs.Forbidden, "insufficient-scope", "other people's orders need the scope orders:read")
		}
		filter.User = user
	case r.User == uuid.Nil && !r.All:
		return usersOnly(c)
	}
	scope := "orders?" + filter.User.String() + q.Scope("cursor", "limit")
	if cursor != "" {
		if err := httpserver.DecodeCursor(scope, cursor, &filter.Before); err != nil {
			return err
		}
	}
	page, err := h.orders.List(httpserver.Context(c), filter)
	if err != nil {
		return err
	}
	next := ""
	if page.More {
		next = httpserver.EncodeCursor(scope, page.Orders[len(page.Orders)-1].ID)
	}
	return httpserver.SendPage(c, page.Orders, next)
}

func (h orderHandlers) read(c *fiber.Ctx) error {
	id, err := orderOf(c)
	if err != nil {
		return err
	}
	o, err := h.orders.Order(httpserver.Context(c), reader(c, "orders:read"), id)
	if err != nil {
		return err
	}
	if httpserver.NotModified(c, o.Version) {
		return nil
	}
	return httpserver.Send(c, fiber.StatusOK, o)
}

func (h orderHandlers) cancel(c *fiber.Ctx) error {
	id, err := orderOf(c)
	if err != nil {
		return err
	}
	var in struct {
		Reason string `json:"reason"`
	}
	if len(c.Body()) > 0 {
		if err := httpserver.JSON(c, &in); err != nil {
			return err
		}
	}
	r := reader(c, "orders:write")
	o, err := h.orders.Cancel(httpserver.Context(c), r, id, app.Cancellation{Reason: in.Reason, By: tokens.Of(c).User})
	if err != nil {
		return err
	}
	httpserver.ETag(c, o.Version)
	return httpserver.Send(c, fiber.StatusOK, o)
}

// orderOf is the id in the path of a route that has no parameters.
func orderOf(c *fiber.Ctx) (uuid.UUID, error) {
	if err := httpserver.Query(c).Err(); err != nil {
		return uuid.Nil, err
	}
	return idOf(c, app.ErrOrderNotFound)
}
