package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// Category in the shape that the API and the events share. Its version and time of
// change move with everything in it, so also when an ancestor's slug changes Path.
type Category struct {
	ID        string    `json:"id"` // UUIDv7
	Slug      string    `json:"slug"`
	Name      string    `json:"name"`
	ParentID  *string   `json:"parent_id"` // null at the top
	Status    Status    `json:"status"`    // active or archived
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Path      []string  `json:"path"` // slugs from the top down to this one
}

// Tree is all categories, kept and changed as one, which is what makes its rules
// exact: slugs are unique, no category is its own ancestor, an active one has no
// archived ancestor.
type Tree struct {
	Version int64      `json:"version"` // 0 before the first category
	Items   []Category `json:"items"`   // each before its descendants; siblings by age
}

// Limits of the tree. It is published whole, so it must fit a Kafka message.
const (
	maxCategories = 1000
	maxDepth      = 8
)

// CategoryInput is what a client says about a new category.
type CategoryInput struct {
	Slug     string  `json:"slug"`
	Name     string  `json:"name"`
	ParentID *string `json:"parent_id"`
}

// CategoryPatch is a change of a category: nil leaves a member as it is.
type CategoryPatch struct {
	Slug     *string
	Name     *string
	ParentID *string // "" for the top
	Status   *Status
}

// Find gives a category by its id or slug.
func (t *Tree) Find(idOrSlug string) (Category, error) {
	for _, c := range t.Items {
		if c.ID == idOrSlug || c.Slug == idOrSlug {
			return c, nil
		}
	}
	return Category{}, errs.New(errs.NotFound, "category-not-found", "there is no such category")
}

// Within gives the ids of a category and all its descendants.
func (t *Tree) Within(id string) []string {
	within := []string{id}
	for _, c := range t.Items { // parents come first
		if c.ParentID != nil && slices.Contains(within, *c.ParentID) {
			within = append(within, c.ID)
		}
	}
	return within
}

// Clone is a copy that may be changed without changing t.
func (t *Tree) Clone() Tree {
	return Tree{Version: t.Version, Items: slices.Clone(t.Items)}
}

// Add makes a category. The tree's version counts up.
func (t *Tree) Add(in CategoryInput) (Category, error) {
	if len(t.Items) >= maxCategories {
		return Category{}, errs.New(errs.Conflict, "too-many-categories", "there are %d categories already, which is the limit", maxCategories)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Category{}, err
	}
	c := Category{ID: id.String(), Slug: in.Slug, Name: in.Name, ParentID: in.ParentID, Status: Active, Version: 1, CreatedAt: timeOf(id)}
	c.UpdatedAt = c.CreatedAt
	t.Items = append(t.Items, c)
	if err := t.settle(c); err != nil {
		return Category{}, err
	}
	t.Version++
	return t.Find(c.ID)
}

// Change applies a patch to version `version` of a category, at a time. The tree's
// version counts up, unless nothing changed.
func (t *Tree) Change(id string, version int64, patch CategoryPatch, now time.Time) (Category, error) {
	i := slices.IndexFunc(t.Items, func(c Category) bool { return c.ID == id })
	if i < 0 {
		return Category{}, errs.New(errs.NotFound, "category-not-found", "there is no such category")
	}
	before := t.Items[i]
	if err := matches(before.Version, version); err != nil {
		return Category{}, err
	}
	after := before
	set(&after.Slug, patch.Slug)
	set(&after.Name, patch.Name)
	if patch.ParentID != nil {
		after.ParentID = patch.ParentID
		if *patch.ParentID == "" {
			after.ParentID = nil
		}
	}
	if err := t.restate(&after, patch.Status); err != nil {
		return Category{}, err
	}
	if after.Slug == before.Slug && after.Name == before.Name && after.Status == before.Status && text(after.ParentID) == text(before.ParentID) {
		return before, nil
	}
	after.Version++
	after.UpdatedAt = later(now, before.UpdatedAt)
	t.Items[i] = after
	if err := t.settle(after); err != nil {
		return Category{}, err
	}
	t.Version++
	return t.Find(id)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// later is now in whole milliseconds, but never before what is recorded already.
func later(now, recorded time.Time) time.Time {
	now = now.UTC().Truncate(time.Millisecond)
	if now.Before(recorded) {
		return recorded
	}
	return now
}

// AnyVersion is the version that a change expects if any will do (If-Match: *).
const AnyVersion int64 = -1

// matches compares a stored version with the one that a client expects.
func matches(stored, expected int64) error {
	if expected != AnyVersion && stored != expected {
		return ErrVersionChanged
	}
	return nil
}

// restate archives or brings back a category.
func (t *Tree) restate(c *Category, to *Status) error {
	if to == nil || *to == c.Status {
		return nil
	}
	switch *to {
	case Archived:
		for _, child := range t.Items {
			if text(child.ParentID) == c.ID && child.Status == Active {
				return errs.New(errs.Conflict, "category-has-children", "archive or move its active subcategories first, such as %q", child.Slug)
			}
		}
	case Active:
	default:
		return errs.New(errs.Unprocessable, "invalid-category", "the category breaks a rule").
			With(errs.Field{Pointer: "/status", Detail: "must be active or archived"})
	}
	c.Status = *to
	return nil
}

// Archive takes a category out of use; products in it stay where they are.
func (t *Tree) Archive(id string, version int64, now time.Time) (Category, error) {
	c, err := t.Find(id)
	if err != nil {
		return Category{}, err
	}
	if err := matches(c.Version, version); err != nil {
		return Category{}, err
	}
	if c.Status == Archived {
		return Category{}, errs.New(errs.Conflict, "already-archived", "the category is archived already")
	}
	archived := Archived
	return t.Change(id, version, CategoryPatch{Status: &archived}, now)
}

// settle checks the rules that concern a changed category, puts the tree in order and
// renews the paths; a category whose path changed has changed.
func (t *Tree) settle(changed Category) error {
	var problems problems
	problems.slug("/slug", changed.Slug)
	problems.line("/name", changed.Name, 1, maxTitle)
	if err := problems.err("invalid-category", "the category breaks a rule"); err != nil {
		return err
	}
	for _, c := range t.Items {
		if c.ID != changed.ID && c.Slug == changed.Slug {
			return slugTaken("category")
		}
	}
	if changed.ParentID != nil {
		if err := t.checkParent(changed); err != nil {
			return err
		}
	}
	return t.order(changed)
}

func slugTaken(of string) error {
	return errs.New(errs.Conflict, "slug-taken", "another %s has this slug; choose another", of).
		With(errs.Field{Pointer: "/slug", Detail: "is taken"})
}

func (t *Tree) checkParent(c Category) error {
	parent, err := t.Find(*c.ParentID)
	switch {
	case err != nil || parent.ID != *c.ParentID:
		return errs.New(errs.Unprocessable, "invalid-category", "the category breaks a rule").
			With(errs.Field{Pointer: "/parent_id", Detail: "must be the id of a category"})
	case slices.Contains(t.Within(c.ID), parent.ID):
		return errs.New(errs.Conflict, "category-cycle", "a category can't move below itself").
			With(errs.Field{Pointer: "/parent_id", Detail: "must not be the category itself nor one of its descendants"})
	case parent.Status == Archived && c.Status == Active:
		return errs.New(errs.Conflict, "parent-archived", "an active category can't stand below an archived one; restore %q first", parent.Slug)
	}
	return nil
}

// order sorts the items so that each stands before its descendants, siblings by age,
// and renews their paths.
func (t *Tree) order(changed Category) error {
	children := map[string][]Category{}
	for _, c := range t.Items {
		children[text(c.ParentID)] = append(children[text(c.ParentID)], c)
	}
	sorted := make([]Category, 0, len(t.Items))
	var walk func(parent string, path []string)
	walk = func(parent string, path []string) {
		siblings := children[parent]
		slices.SortFunc(siblings, func(a, b Category) int { return strings.Compare(a.ID, b.ID) })
		for _, c := range siblings {
			own := append(slices.Clip(path), c.Slug)
			if !slices.Equal(own, c.Path) {
				if c.ID != changed.ID {
					c.Version++
					c.UpdatedAt = changed.UpdatedAt
				}
				c.Path = own
			}
			sorted = append(sorted, c)
			walk(c.ID, own)
		}
	}
	walk("", nil)
	if len(sorted) != len(t.Items) {
		return fmt.Errorf("the tree has %d categories, of which %d can be reached", len(t.Items), len(sorted))
	}
	for _, c := range sorted {
		if len(c.Path) > maxDepth {
			return errs.New(errs.Unprocessable, "invalid-category", "the category breaks a rule").
				With(errs.Field{Pointer: "/parent_id", Detail: fmt.Sprintf("would make the tree deeper than %d levels", maxDepth)})
		}
	}
	t.Items = sorted
	return nil
}
