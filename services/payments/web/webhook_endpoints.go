package web

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	httpserver "souk/internal/web"
	"souk/services/payments/app"
)

// webhookEndpoints are the routes of outgoing webhooks. No POST takes an Idempotency-Key: what it answers has a secret in
// it, which is nowhere kept to be told again.
type webhookEndpoints struct {
	webhooks *app.Webhooks
	pageSize func() int
}

// registerWebhookEndpoints adds the routes, each behind need.
func registerWebhookEndpoints(v1 fiber.Router, webhooks *app.Webhooks, pageSize func() int, need fiber.Handler) {
	h := webhookEndpoints{webhooks, pageSize}
	v1.Get("/webhook-endpoints", need, h.list)
	v1.Post("/webhook-endpoints", need, h.create)
	v1.Get("/webhook-endpoints/:id", need, h.read)
	v1.Patch("/webhook-endpoints/:id", need, h.change)
	v1.Delete("/webhook-endpoints/:id", need, h.delete)
	v1.Post("/webhook-endpoints/:id/rotate-secret", need, h.rotateSecret)
	v1.Get("/webhook-endpoints/:id/deliveries", need, h.deliveries)
	v1.Post("/webhook-endpoints/:id/deliveries/:delivery_id/redeliver", need, h.redeliver)
}

// withSecret is an endpoint in the one answer that tells its secret.
type withSecret struct {
	app.WebhookEndpoint
	Secret string `json:"secret"`
}

func (h webhookEndpoints) list(c *fiber.Ctx) error {
	if err := httpserver.Query(c).Err(); err != nil { // there are no parameters: all fit on a page
		return err
	}
	all, err := h.webhooks.Endpoints(httpserver.Context(c))
	if err != nil {
		return err
	}
	return httpserver.SendPage(c, all, "")
}

func (h webhookEndpoints) create(c *fiber.Ctx) error {
	var in struct {
		URL         string   `json:"url"`
		Events      []string `json:"events"`
		Description string   `json:"description"`
	}
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	e, secret, err := h.webhooks.Create(httpserver.Context(c), in.URL, in.Events, in.Description)
	if err != nil {
		return err
	}
	c.Location("/v1/webhook-endpoints/" + e.ID.String())
	return sendSecret(c, fiber.StatusCreated, e, secret)
}

func (h webhookEndpoints) read(c *fiber.Ctx) error {
	id, err := webhookID(c, "id", app.ErrNoWebhookEndpoint)
	if err != nil {
		return err
	}
	if err := httpserver.Query(c).Err(); err != nil { // there are no parameters
		return err
	}
	e, err := h.webhooks.Endpoint(httpserver.Context(c), id)
	if err != nil {
		return err
	}
	return sendEndpoint(c, e)
}

func (h webhookEndpoints) change(c *fiber.Ctx) error {
	id, err := webhookID(c, "id", app.ErrNoWebhookEndpoint)
	if err != nil {
		return err
	}
	match, err := httpserver.IfMatchSet(c)
	if err != nil {
		return err
	}
	var patch webhookPatch
	if err := httpserver.JSON(c, &patch, httpserver.MergePatchType); err != nil {
		return err
	}
	e, err := h.webhooks.Change(httpserver.Context(c), id, match.Allows, patch.change())
	if err != nil {
		return err
	}
	return sendEndpoint(c, e)
}

func (h webhookEndpoints) delete(c *fiber.Ctx) error {
	id, err := webhookID(c, "id", app.ErrNoWebhookEndpoint)
	if err != nil {
		return err
	}
	match, err := httpserver.IfMatchSet(c)
	if err != nil {
		return err
	}
	if err := h.webhooks.Delete(httpserver.Context(c), id, match.Allows); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

// defaultOverlap is for how long the secret before stays good if the client does not say.
const defaultOverlap = 24 * time.Hour

func (h webhookEndpoints) rotateSecret(c *fiber.Ctx) error {
	id, err := webhookID(c, "id", app.ErrNoWebhookEndpoint)
	if err != nil {
		return err
	}
	var in struct {
		OverlapSeconds *int64 `json:"overlap_seconds"`
	}
	if len(c.Body()) > 0 {
		if err := httpserver.JSON(c, &in); err != nil {
			return err
		}
	}
	overlap := defaultOverlap
	if in.OverlapSeconds != nil {
		// More seconds than a Duration holds must not turn into fewer.
		overlap = time.Duration(max(-1, min(*in.OverlapSeconds, int64(app.MaxSecretOverlap/time.Second)+1))) * time.Second
	}
	e, secret, err := h.webhooks.RotateSecret(httpserver.Context(c), id, overlap)
	if err != nil {
		return err
	}
	return sendSecret(c, fiber.StatusOK, e, secret)
}

func (h webhookEndpoints) deliveries(c *fiber.Ctx) error {
	id, err := webhookID(c, "id", app.ErrNoWebhookEndpoint)
	if err != nil {
		return err
	}
	q := httpserver.Query(c)
	limit := q.Int("limit", int64(h.pageSize()), 1, 100)
	status := q.Enum("status", "", string(app.DeliveryPending), string(app.DeliveryDelivered), string(app.DeliveryFailed))
	cursor := q.String("cursor", "")
	if err := q.Err(); err != nil {
		return err
	}
	scope := "deliveries/" + id.String() + "?" + q.Scope("cursor", "limit")
	var before uuid.UUID
	if cursor != "" {
		if err := httpserver.DecodeCursor(scope, cursor, &before); err != nil {
			return err
		}
	}
	page, err := h.webhooks.Deliveries(httpserver.Context(c), id, app.WebhookDeliveryStatus(status), before, int(limit))
	if err != nil {
		return err
	}
	next := ""
	if page.More {
		next = httpserver.EncodeCursor(scope, page.Items[len(page.Items)-1].ID)
	}
	return httpserver.SendPage(c, page.Items, next)
}

func (h webhookEndpoints) redeliver(c *fiber.Ctx) error {
	id, err := webhookID(c, "id", app.ErrNoWebhookEndpoint)
	if err != nil {
		return err
	}
	delivery, err := webhookID(c, "delivery_id", app.ErrNoWebhookDelivery)
	if err != nil {
		return err
	}
	d, err := h.webhooks.Redeliver(httpserver.Context(c), id, delivery)
	if err != nil {
		return err
	}
	return httpserver.Send(c, fiber.StatusAccepted, d)
}

func sendEndpoint(c *fiber.Ctx, e app.WebhookEndpoint) error {
	httpserver.ETag(c, e.Version)
	return httpserver.Send(c, fiber.StatusOK, e)
}

func sendSecret(c *fiber.Ctx, status int, e app.WebhookEndpoint, secret string) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	httpserver.ETag(c, e.Version)
	return httpserver.Send(c, status, withSecret{e, secret})
}

// webhookID is an id in the path. What can't be one is the id of nothing.
func webhookID(c *fiber.Ctx, name string, notFound error) (uuid.UUID, error) {
	text, err := httpserver.Param(c, name)
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text { // Parse takes other spellings too
		return uuid.Nil, notFound
	}
	return id, nil
}
