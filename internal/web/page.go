package web

import (
	"net/http"
	"net/url"

	"github.com/gofiber/fiber/v2"
)

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items"` // never null
	Next  string `json:"next,omitempty"`
}

// SendPage answers with one page. A cursor other than "" makes the link to the
// next one: the same path and query with that cursor, in the body and as
// Link: <...>; rel="next" (RFC 8288).
func SendPage[T any](c *fiber.Ctx, items []T, cursor string) error {
	page := Page[T]{Items: items}
	if cursor != "" {
		page.Next = nextPage(c, cursor)
		c.Set(fiber.HeaderLink, "<"+page.Next+`>; rel="next"`)
	}
	return Send(c, http.StatusOK, page)
}

func nextPage(c *fiber.Ctx, cursor string) string {
	uri := c.Request().URI()
	query, err := url.ParseQuery(string(uri.QueryString()))
	if err != nil { // Query has refused it before
		query = url.Values{}
	}
	query.Set("cursor", cursor)
	return string(uri.PathOriginal()) + "?" + query.Encode()
}
