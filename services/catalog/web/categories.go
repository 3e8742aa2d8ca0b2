package web

import (
	"net/http"
	"slices"

	"github.com/gofiber/fiber/v2"

	httpserver "souk/internal/web"
	"souk/services/catalog/app"
)

// categoryList is the tree, or those of it that were asked for, in its order.
type categoryList struct {
	Items []app.Category `json:"items"`
}

func (h handlers) listCategories(c *fiber.Ctx) error {
	r := httpserver.Query(c)
	status := app.Status(r.Enum("status", "", string(app.Active), string(app.Archived)))
	if err := r.Err(); err != nil {
		return err
	}
	tree, err := h.catalog.Categories(httpserver.Context(c))
	if err != nil {
		return err
	}
	revalidate(c)
	if httpserver.NotModified(c, tree.Version) {
		return nil
	}
	if status != "" {
		tree.Items = slices.DeleteFunc(slices.Clone(tree.Items), func(item app.Category) bool { return item.Status != status })
	}
	return httpserver.Send(c, http.StatusOK, categoryList{tree.Items})
}

func (h handlers) getCategory(c *fiber.Ctx) error {
	name, err := httpserver.Param(c, "category")
	if err != nil {
		return err
	}
	if err := httpserver.Query(c).Err(); err != nil {
		return err
	}
	category, err := h.catalog.Category(httpserver.Context(c), name)
	if err != nil {
		return err
	}
	revalidate(c)
	if httpserver.NotModified(c, category.Version) {
		return nil
	}
	return httpserver.Send(c, http.StatusOK, category)
}

func (h handlers) createCategory(c *fiber.Ctx) error {
	once, err := onceOf(c)
	if err != nil {
		return err
	}
	var in app.CategoryInput
	if err := httpserver.JSON(c, &in); err != nil {
		return err
	}
	category, replayed, err := h.catalog.CreateCategory(httpserver.Context(c), in, once)
	if err != nil {
		return err
	}
	return created(c, "/v1/categories/"+category.ID, category.Version, replayed, category)
}

func (h handlers) updateCategory(c *fiber.Ctx) error {
	name, err := httpserver.Param(c, "category")
	if err != nil {
		return err
	}
	version, err := httpserver.IfMatch(c)
	if err != nil {
		return err
	}
	var patch categoryPatch
	if err := httpserver.JSON(c, &patch, httpserver.MergePatchType); err != nil {
		return err
	}
	change, err := patch.change()
	if err != nil {
		return err
	}
	category, err := h.catalog.UpdateCategory(httpserver.Context(c), name, version, change)
	if err != nil {
		return err
	}
	httpserver.ETag(c, category.Version)
	return httpserver.Send(c, http.StatusOK, category)
}

func (h handlers) archiveCategory(c *fiber.Ctx) error {
	name, err := httpserver.Param(c, "category")
	if err != nil {
		return err
	}
	version, err := httpserver.IfMatch(c)
	if err != nil {
		return err
	}
	category, err := h.catalog.ArchiveCategory(httpserver.Context(c), name, version)
	if err != nil {
		return err
	}
	httpserver.ETag(c, category.Version)
	return c.SendStatus(http.StatusNoContent)
}
