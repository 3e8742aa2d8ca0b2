package app

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"souk/internal/errs"
)

// Categories gives the whole tree as it is stored now.
func (c *Catalog) Categories(ctx context.Context) (Tree, error) { return c.tree.now(ctx) }

// Category by id or slug, as it is stored now.
func (c *Catalog) Category(ctx context.Context, idOrSlug string) (Category, error) {
	tree, err := c.Categories(ctx)
	if err != nil {
		return Category{}, err
	}
	return tree.Find(idOrSlug)
}

// CreateCategory adds a category. With once, a repeated request gets what the first
// one made, and replayed is true.
func (c *Catalog) CreateCategory(ctx context.Context, in CategoryInput, once *Once) (made Category, replayed bool, err error) {
	made, err = c.changeTree(ctx, once, func(t *Tree, earlier *Category) (Category, error) {
		if replayed = earlier != nil; replayed {
			return *earlier, nil
		}
		return t.Add(in)
	})
	return made, replayed, err
}

// UpdateCategory applies a patch to a version of a category; version may be
// AnyVersion. A patch that changes nothing makes no new version.
func (c *Catalog) UpdateCategory(ctx context.Context, idOrSlug string, version int64, patch CategoryPatch) (Category, error) {
	return c.changeTree(ctx, nil, func(t *Tree, _ *Category) (Category, error) {
		category, err := t.Find(idOrSlug)
		if err != nil {
			return Category{}, err
		}
		return t.Change(category.ID, version, patch, c.now())
	})
}

// ArchiveCategory takes a version of a category out of use; version may be
// AnyVersion.
func (c *Catalog) ArchiveCategory(ctx context.Context, idOrSlug string, version int64) (Category, error) {
	return c.changeTree(ctx, nil, func(t *Tree, _ *Category) (Category, error) {
		category, err := t.Find(idOrSlug)
		if err != nil {
			return Category{}, err
		}
		return t.Archive(category.ID, version, c.now())
	})
}

// changeTree applies a change to the newest tree, again whenever another instance was
// faster, until it is stored or ctx ends.
func (c *Catalog) changeTree(ctx context.Context, once *Once, change func(t *Tree, earlier *Category) (Category, error)) (Category, error) {
	select {
	case c.treeTurn <- struct{}{}:
		defer func() { <-c.treeTurn }()
	case <-ctx.Done():
		return Category{}, busy()
	}
	for {
		tree, earlier, err := c.readTree(ctx, once)
		if err != nil {
			return Category{}, err
		}
		version := tree.Version
		category, err := change(&tree, earlier)
		if err != nil || tree.Version == version {
			return category, err
		}
		if err := c.checkWaiting(ctx); err != nil {
			return Category{}, err
		}
		e, err := newEvent(ctx, CategoriesChanged, TreeKey, tree.Version, category.UpdatedAt, &tree)
		if err != nil {
			return Category{}, err
		}
		err = c.store.ReplaceTree(ctx, tree, e, c.settings().PendingPerProduct, once, category)
		if !errors.Is(err, ErrVersionChanged) {
			if err == nil {
				c.tree.put(tree)
			}
			return category, err
		}
		select {
		case <-ctx.Done():
			return Category{}, busy()
		case <-time.After(time.Duration(rand.Int64N(int64(10 * time.Millisecond)))):
		}
	}
}

func busy() error {
	return errs.New(errs.Unavailable, "busy", "the categories are changed by many at once; try again").After(time.Second)
}

func (c *Catalog) readTree(ctx context.Context, once *Once) (Tree, *Category, error) {
	if once == nil {
		tree, err := c.store.Tree(ctx)
		return tree, nil, err
	}
	return c.store.TreeFor(ctx, *once, c.now())
}

// category finds one in the tree kept in memory; one that is not there is looked for in
// a fresh tree, as another instance may have made it just now.
func (c *Catalog) category(ctx context.Context, idOrSlug string) (Category, Tree, error) {
	tree, err := c.tree.get(ctx, c.settings().TreeAge)
	if err != nil {
		return Category{}, Tree{}, err
	}
	category, err := tree.Find(idOrSlug)
	if err != nil {
		if tree, err = c.tree.get(ctx, freshTree); err != nil {
			return Category{}, Tree{}, err
		}
		category, err = tree.Find(idOrSlug)
	}
	return category, tree, err
}

// freshTree bounds how often names that don't exist make us read the tree.
const freshTree = 100 * time.Millisecond

// treeCache keeps the last tree that was read or written here. A tree in it is never
// changed.
type treeCache struct {
	load  func(context.Context) (Tree, error)
	kept  atomic.Pointer[keptTree]
	reads flights[Tree]
}

type keptTree struct {
	Tree
	at time.Time // when reading it began
}

func (k *treeCache) put(t Tree) { k.keep(&keptTree{t, time.Now()}) }

// keep never replaces a tree by one whose reading began earlier.
func (k *treeCache) keep(next *keptTree) {
	for {
		kept := k.kept.Load()
		if kept != nil && kept.at.After(next.at) {
			return
		}
		if k.kept.CompareAndSwap(kept, next) {
			return
		}
	}
}

// get gives a tree of at most this age.
func (k *treeCache) get(ctx context.Context, age time.Duration) (Tree, error) {
	if kept := k.kept.Load(); kept != nil && time.Since(kept.at) <= age {
		return kept.Tree, nil
	}
	return k.now(ctx)
}

// now reads the tree.
func (k *treeCache) now(ctx context.Context) (Tree, error) {
	return k.reads.do(ctx, "", func(ctx context.Context) (Tree, error) {
		began := time.Now()
		t, err := k.load(ctx)
		if err == nil {
			k.keep(&keptTree{t, began})
		}
		return t, err
	})
}
