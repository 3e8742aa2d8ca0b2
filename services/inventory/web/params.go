package web

import (
	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	httpserver "souk/internal/web"
)

var errSKUsMissing = errs.New(errs.Invalid, "bad-query", "the query has parameters that are not accepted").
	With(errs.Field{Pointer: "?skus", Detail: "must be 1 to 100 SKUs with commas between them"})

// plain is a parameter of the path, on a route whose query has no parameters.
func plain(c *fiber.Ctx, name string) (string, error) {
	text, err := httpserver.Param(c, name)
	if err != nil {
		return "", err
	}
	return text, httpserver.Query(c).Err()
}
