package web

import (
	"context"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/gofiber/fiber/v2"

	httpserver "souk/internal/web"
	"souk/services/orders/app"
)

// events lists an order's history, or sends it as it goes on: as server-sent events, whose ids are the versions of the
// order, until nothing is awaited any more.
func (h orderHandlers) events(c *fiber.Ctx) error {
	id, err := orderOf(c)
	if err != nil {
		return err
	}
	history, err := h.orders.History(httpserver.Context(c), reader(c, "orders:read"), id)
	if err != nil {
		return err
	}
	if !httpserver.WantsEvents(c) {
		views := make([]app.EventView, len(history))
		for i, e := range history {
			views[i] = e.View()
		}
		return httpserver.SendPage(c, views, "")
	}
	o := app.Fold(history)
	unseen := history[min(seen(c), len(history)):]
	if len(unseen) == 0 && o.Settled() {
		return c.SendStatus(fiber.StatusNoContent) // to browsers: don't come again
	}
	return httpserver.SendEvents(c, func(ctx context.Context, w *httpserver.EventWriter) error {
		return h.follow(ctx, w, o, unseen)
	})
}

// seen is how many of an order's events the client has: their versions count from 1 without gaps. What is no version of
// ours counts as none.
func seen(c *fiber.Ctx) int {
	version, err := strconv.ParseUint(httpserver.LastEventID(c), 10, 31)
	if err != nil {
		return 0
	}
	return int(version)
}

// follow sends the events of an order that the client has not seen, and those to come after the order o.
func (h orderHandlers) follow(ctx context.Context, w *httpserver.EventWriter, o *app.Order, unseen []app.Event) error {
	if err := sendEvents(w, unseen); err != nil || o.Settled() {
		return err
	}
	f, stop := h.followers.Follow(o.ID, o.Version)
	defer stop()
	for !o.Settled() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case events := <-f.Events():
			for _, e := range events {
				o.Apply(e)
			}
			if err := sendEvents(w, events); err != nil {
				return err
			}
		}
	}
	return nil
}

func sendEvents(w *httpserver.EventWriter, events []app.Event) error {
	for _, e := range events {
		data, err := json.Marshal(e.View())
		if err != nil {
			return err
		}
		if err := w.Send(httpserver.Event{ID: strconv.FormatInt(e.Version, 10), Name: e.Fact.Kind(), Data: data}); err != nil {
			return err
		}
	}
	return nil
}
