package web

import (
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/catalog/app"
)

func (h handlers) listProducts(c *fiber.Ctx) error {
	settings := h.catalog.Settings()
	r := httpserver.Query(c)
	sorts := make([]string, 0, len(app.Sorts()))
	for _, s := range app.Sorts() {
		sorts = append(sorts, string(s))
	}
	q := app.Query{
		Slug: r.String("slug", ""), SKUs: r.List("sku", app.MaxSKUs), Category: r.String("category", ""), Brand: r.String("brand", ""),
		Status:   app.Status(r.Enum("status", string(app.Active), string(app.Draft), string(app.Active), string(app.Archived))),
		Currency: r.String("currency", ""), MinPrice: price(r, "min_price"), MaxPrice: price(r, "max_price"),
		Sort:  app.Sort(r.Enum("sort", sorts[0], sorts...)),
		Limit: int(r.Int("limit", int64(settings.PageSize), 1, int64(settings.MaxPageSize))),
	}
	cursor := r.String("cursor", "")
	if err := r.Err(); err != nil {
		return err
	}
	scope := "products?" + r.Scope("cursor", "limit")
	if cursor != "" {
		var p position
		if err := httpserver.DecodeCursor(scope, cursor, &p); err != nil {
			return err
		}
		q.After = p.After
	}
	page, err := h.catalog.Products(httpserver.Context(c), q)
	if err != nil {
		return err
	}
	next := ""
	if page.Next != "" {
		next = httpserver.EncodeCursor(scope, position{page.Next})
	}
	revalidate(c)
	return httpserver.SendPage(c, page.Items, next)
}

// position is where a page begins.
type position struct {
	After string `json:"after"` // app.Query.After
}

// price reads an amount in minor units; the app knows the bounds.
func price(r *httpserver.QueryReader, name string) *int64 {
	if !r.Has(name) {
		return nil
	}
	n := r.Int(name, 0, 0, app.MaxPrice)
	return &n
}

// revalidate lets caches keep an answer but ask each time whether it still holds.
func revalidate(c *fiber.Ctx) { c.Set(fiber.HeaderCacheControl, "no-cache") }

func (h handlers) getProduct(c *fiber.Ctx) error {
	id, err := httpserver.Param(c, "id")
	if err != nil {
		return err
	}
	if err := httpserver.Query(c).Err(); err != nil {
		return err
	}
	p, err := h.catalog.Product(httpserver.Context(c), id)
	if err != nil {
		return err
	}
	revalidate(c)
	if httpserver.NotModified(c, p.Version) {
		return nil
	}
	c.Set(fiber.HeaderContentType, httpserver.JSONType)
	return c.Send(p.JSON)
}

func (h handlers) createProduct(c *fiber.Ctx) error {
	once, err := onceOf(c)
	if err != nil {
		return err
	}
	var in app.ProductInput
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	p, replayed, err := h.catalog.CreateProduct(httpserver.Context(c), in, once)
	if err != nil {
		return err
	}
	return created(c, "/v1/products/"+p.ID, p.Version, replayed, &p)
}

// onceOf reads the Idempotency-Key, if there is one. It belongs to who uses it: another's
// request with the same key is another request. A key has no space in it.
func onceOf(c *fiber.Ctx) (*app.Once, error) {
	key, fingerprint, err := httpserver.IdempotencyKey(c)
	if err != nil || key == "" {
		return nil, err
	}
	return &app.Once{Key: tokens.Of(c).Key() + " " + key, Fingerprint: fingerprint, Expires: time.Now().Add(app.KeyAge)}, nil
}

func created(c *fiber.Ctx, location string, version int64, replayed bool, v any) error {
	c.Location(location)
	httpserver.ETag(c, version)
	if replayed {
		httpserver.Replayed(c)
	}
	return httpserver.Send(c, http.StatusCreated, v)
}

func (h handlers) updateProduct(c *fiber.Ctx) error {
	id, err := httpserver.Param(c, "id")
	if err != nil {
		return err
	}
	version, err := httpserver.IfMatch(c)
	if err != nil {
		return err
	}
	var patch productPatch
	if err := httpserver.JSON(c, &patch, httpserver.MergePatchType); err != nil {
		return err
	}
	change, err := patch.change()
	if err != nil {
		return err
	}
	p, err := h.catalog.UpdateProduct(httpserver.Context(c), id, version, change)
	if err != nil {
		return err
	}
	httpserver.ETag(c, p.Version)
	return httpserver.Send(c, http.StatusOK, &p)
}

func (h handlers) archiveProduct(c *fiber.Ctx) error {
	id, err := httpserver.Param(c, "id")
	if err != nil {
		return err
	}
	version, err := httpserver.IfMatch(c)
	if err != nil {
		return err
	}
	p, err := h.catalog.ArchiveProduct(httpserver.Context(c), id, version)
	if err != nil {
		return err
	}
	httpserver.ETag(c, p.Version) // of what a later restoration must match
	return c.SendStatus(http.StatusNoContent)
}
