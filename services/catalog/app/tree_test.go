package app

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/internal/errs"
)

// grow adds categories named by their paths.
func grow(t *testing.T, paths ...string) *Tree {
	t.Helper()
	tree := &Tree{}
	for _, path := range paths {
		parent, slug := "", path
		if i := strings.LastIndex(path, "/"); i >= 0 {
			parent, slug = path[:i], path[i+1:]
		}
		in := CategoryInput{Slug: slug, Name: slug}
		if parent != "" {
			in.ParentID = &find(t, tree, parent[strings.LastIndex(parent, "/")+1:]).ID
		}
		if _, err := tree.Add(in); err != nil {
			t.Fatalf("add %s: %v", path, err)
		}
	}
	return tree
}

func find(t *testing.T, tree *Tree, slug string) *Category {
	t.Helper()
	c, err := tree.Find(slug)
	if err != nil {
		t.Fatalf("%s: %v", slug, err)
	}
	return &c
}

func TestATreeRefusesWhatWouldBreakIt(t *testing.T) {
	archived, active := Archived, Active
	for name, c := range map[string]struct {
		slug  string
		patch func(tree *Tree) CategoryPatch
		code  string
	}{
		"below itself":      {"a", func(t *Tree) CategoryPatch { c, _ := t.Find("a"); return CategoryPatch{ParentID: &c.ID} }, "category-cycle"},
		"below a child":     {"a", func(t *Tree) CategoryPatch { c, _ := t.Find("b"); return CategoryPatch{ParentID: &c.ID} }, "category-cycle"},
		"below a grandson":  {"a", func(t *Tree) CategoryPatch { c, _ := t.Find("c"); return CategoryPatch{ParentID: &c.ID} }, "category-cycle"},
		"a taken slug":      {"a", func(*Tree) CategoryPatch { s := "d"; return CategoryPatch{Slug: &s} }, "slug-taken"},
		"an odd slug":       {"a", func(*Tree) CategoryPatch { s := "A b"; return CategoryPatch{Slug: &s} }, "invalid-category"},
		"children left":     {"a", func(*Tree) CategoryPatch { return CategoryPatch{Status: &archived} }, "category-has-children"},
		"an archived above": {"e", func(*Tree) CategoryPatch { return CategoryPatch{Status: &active} }, "parent-archived"},
	} {
		tree := grow(t, "a", "a/b", "a/b/c", "d", "d/e")
		for _, slug := range []string{"e", "d"} {
			if _, err := tree.Archive(find(t, tree, slug).ID, AnyVersion, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tree.Change(find(t, tree, c.slug).ID, AnyVersion, c.patch(tree), time.Now()); errs.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

func TestATreeIsNoDeeperThanItsLimit(t *testing.T) {
	tree := grow(t, "a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e", "a/b/c/d/e/f", "a/b/c/d/e/f/g", "a/b/c/d/e/f/g/h", "x", "x/y")
	if _, err := tree.Add(CategoryInput{Slug: "i", Name: "i", ParentID: &find(t, tree, "h").ID}); errs.KindOf(err) != errs.Unprocessable {
		t.Errorf("a ninth level: %v", err)
	}
	tree = grow(t, "a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e", "a/b/c/d/e/f", "a/b/c/d/e/f/g", "x", "x/y")
	if _, err := tree.Change(find(t, tree, "x").ID, AnyVersion, CategoryPatch{ParentID: &find(t, tree, "g").ID}, time.Now()); errs.KindOf(err) != errs.Unprocessable {
		t.Errorf("moved so that a child is on the ninth level: %v", err)
	}
}

// TestAnyMovesKeepTheTreeWhole makes random changes and checks the rules after each.
func TestAnyMovesKeepTheTreeWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tree := Tree{}
	for step := range 3000 {
		next := tree.Clone()
		var id string
		if len(tree.Items) > 0 {
			id = tree.Items[r.IntN(len(tree.Items))].ID
		}
		var err error
		switch slug := fmt.Sprint("c", r.IntN(60)); {
		case id == "" || r.IntN(4) == 0:
			in := CategoryInput{Slug: slug, Name: slug}
			if id != "" && r.IntN(3) > 0 {
				in.ParentID = &id
			}
			_, err = next.Add(in)
		case r.IntN(3) == 0:
			status := []Status{Active, Archived}[r.IntN(2)]
			_, err = next.Change(id, AnyVersion, CategoryPatch{Status: &status}, time.Now())
		default:
			patch := CategoryPatch{ParentID: &tree.Items[r.IntN(len(tree.Items))].ID}
			if r.IntN(4) == 0 {
				patch = CategoryPatch{Slug: &slug}
			}
			_, err = next.Change(id, AnyVersion, patch, time.Now())
		}
		if err != nil {
			if errs.KindOf(err) == errs.Internal {
				t.Fatalf("step %d: %v", step, err)
			}
			continue
		}
		checkTree(t, &tree, &next)
		tree = next
	}
	if len(tree.Items) < 30 {
		t.Errorf("only %d categories grew", len(tree.Items))
	}
}

func checkTree(t *testing.T, before, after *Tree) {
	t.Helper()
	at, slugs := map[string]Category{}, map[string]bool{}
	for _, c := range after.Items {
		want := []string{c.Slug}
		if c.ParentID != nil {
			parent, seen := at[*c.ParentID]
			if !seen {
				t.Fatalf("%s stands before its parent, or has none", c.Slug)
			}
			if c.Status == Active && parent.Status == Archived {
				t.Fatalf("%s is active below an archived category", c.Slug)
			}
			want = append(slices.Clone(parent.Path), c.Slug)
		}
		if !slices.Equal(c.Path, want) || slugs[c.Slug] {
			t.Fatalf("%s: path %v, want %v; slug taken: %v", c.Slug, c.Path, want, slugs[c.Slug])
		}
		at[c.ID], slugs[c.Slug] = c, true
	}
	for _, old := range before.Items {
		now, kept := at[old.ID]
		if !kept {
			t.Fatalf("%s is gone", old.Slug)
		}
		if !same(old, now) != (now.Version == old.Version+1) {
			t.Fatalf("%s: changed %v, version %d to %d", old.Slug, !same(old, now), old.Version, now.Version)
		}
	}
}

// same compares what a category shows, but for version and time.
func same(a, b Category) bool {
	return a.Slug == b.Slug && a.Name == b.Name && a.Status == b.Status && text(a.ParentID) == text(b.ParentID) && slices.Equal(a.Path, b.Path)
}
