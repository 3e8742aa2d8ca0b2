package web

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/gofiber/fiber/v2"
)

// Send answers with v as JSON. Map keys are in no fixed order.
func Send(c *fiber.Ctx, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	c.Response().Header.SetContentType(JSONType)
	c.Response().SetBodyRaw(body)
	c.Status(status)
	return nil
}
