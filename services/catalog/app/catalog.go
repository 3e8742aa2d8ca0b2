package app

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"souk/internal/errs"
)

// Store keeps products and the tree. Each method is one atomic step on one document:
// either all of it is on disk or none. Failures of the database are errs.Unavailable;
// when a write's outcome is not known, the code is "outcome-unknown".
type Store interface {
	// Product by id, or errs.NotFound.
	Product(ctx context.Context, id string) (Product, error)
	// Shown is a product as it is answered, or errs.NotFound.
	Shown(ctx context.Context, id string) (Shown, error)
	// Products of a query, in its order; categories stands for Query.Category.
	Products(ctx context.Context, q Query, categories []string) ([]Shown, error)
	// Offers of SKUs, in no order; those that no product has are left out.
	Offers(ctx context.Context, skus []string) ([]Offer, error)
	// InsertProduct adds a product with its event, whose data is the product as it will be
	// shown. A slug or SKU that is taken is
	// errs.Conflict, and so is a key of once that is in use.
	InsertProduct(ctx context.Context, p Product, e Event, once *Once) error
	// ReplaceProduct puts p in the place of the version before it. If that is not the
	// stored one, the error is errs.PreconditionFailed; if maxPending events of it wait
	// already, errs.Unavailable.
	ReplaceProduct(ctx context.Context, p Product, e Event, maxPending int) error
	// Created gives the product that a request with this key made, as it was then. The
	// key of another request is errs.Unprocessable; one that has expired is forgotten.
	Created(ctx context.Context, once Once, now time.Time) (p Product, found bool, err error)

	// Tree of categories.
	Tree(ctx context.Context) (Tree, error)
	// TreeFor is Tree, with what a request of this key made, if there was one.
	TreeFor(ctx context.Context, once Once, now time.Time) (tree Tree, made *Category, err error)
	// ReplaceTree is ReplaceProduct for the tree; made is remembered under once.
	ReplaceTree(ctx context.Context, t Tree, e Event, maxPending int, once *Once, made Category) error

	// Waiting counts the subjects that have events to publish, up to a limit.
	Waiting(ctx context.Context, limit int) (int, error)
}

// Once makes a request that is repeated with the same key have one effect.
type Once struct {
	Key         string // Idempotency-Key, with whose it is
	Fingerprint []byte // of the request
	Expires     time.Time
}

// KeyAge is how long a key is remembered.
const KeyAge = 24 * time.Hour

// Settings may change while the service runs.
type Settings struct {
	// PendingPerProduct is how many events of one product, or of the tree, may wait for
	// Kafka before changes of it are refused. PendingProducts bounds the products that
	// have events waiting.
	PendingPerProduct     int
	PendingProducts       int
	PageSize, MaxPageSize int // products on a page
	// TreeAge is how old the tree may be that a category filter is resolved with.
	TreeAge time.Duration
}

// Catalog has the use cases. It is safe for concurrent use.
type Catalog struct {
	store    Store
	settings func() Settings
	now      func() time.Time
	products flights[Shown]
	lists    flights[Page]
	tree     treeCache
	waiting  waitingCount
	// One change of the tree at a time: they would only make each other repeat.
	treeTurn chan struct{}
}

// New makes the catalogue on a store. settings is asked on each use.
func New(store Store, settings func() Settings) *Catalog {
	c := &Catalog{store: store, settings: settings, now: time.Now, treeTurn: make(chan struct{}, 1)}
	c.tree.load = store.Tree
	return c
}

// Settings in force now.
func (c *Catalog) Settings() Settings { return c.settings() }

// Product by id.
func (c *Catalog) Product(ctx context.Context, id string) (Shown, error) {
	return c.products.do(ctx, id, func(ctx context.Context) (Shown, error) { return c.store.Shown(ctx, id) })
}

// Page of products, not to be changed. Next is the Query.After of the next page, "" on
// the last.
type Page struct {
	Items []Shown
	Next  string
}

// Products answers a query.
func (c *Catalog) Products(ctx context.Context, q Query) (Page, error) {
	if err := q.Check(); err != nil {
		return Page{}, err
	}
	return c.lists.do(ctx, q.key(), func(ctx context.Context) (Page, error) { return c.page(ctx, q) })
}

func (c *Catalog) page(ctx context.Context, q Query) (Page, error) {
	var categories []string
	if q.Category != "" {
		category, tree, err := c.category(ctx, q.Category)
		if errs.KindOf(err) == errs.NotFound {
			return Page{}, errs.New(errs.Unprocessable, "unknown-category", "there is no such category to filter by").
				With(errs.Field{Pointer: "?category", Detail: "must be the id or slug of a category"})
		}
		if err != nil {
			return Page{}, err
		}
		categories = tree.Within(category.ID)
	}
	limit := q.Limit
	q.Limit++ // one more tells whether there is a next page
	products, err := c.store.Products(ctx, q, categories)
	if err != nil || len(products) <= limit {
		return Page{Items: products}, err
	}
	products = products[:limit]
	return Page{Items: products, Next: products[limit-1].Key}, nil
}

// CreateProduct adds a product. With once, a repeated request gets what the first one
// made, and replayed is true.
func (c *Catalog) CreateProduct(ctx context.Context, in ProductInput, once *Once) (p Product, replayed bool, err error) {
	for {
		if once != nil {
			if p, replayed, err = c.store.Created(ctx, *once, c.now()); err != nil || replayed {
				return p, replayed, err
			}
		}
		if p, err = NewProduct(in); err != nil {
			return Product{}, false, err
		}
		if err = c.checkCategory(ctx, p.CategoryID); err != nil {
			return Product{}, false, err
		}
		if err = c.checkWaiting(ctx); err != nil {
			return Product{}, false, err
		}
		e, err := newEvent(ctx, ProductCreated, p.ID, p.Version, p.UpdatedAt, &p)
		if err != nil {
			return Product{}, false, err
		}
		err = c.store.InsertProduct(ctx, p, e, once)
		if once != nil && errs.KindOf(err) == errs.Conflict {
			// The same request, just ahead of this one, may be what took the slug or key.
			earlier, replayed, lookErr := c.store.Created(ctx, *once, c.now())
			if lookErr != nil || replayed {
				return earlier, replayed, lookErr
			}
			if errors.Is(err, ErrKeyTaken) && ctx.Err() == nil {
				continue // the key has expired just now
			}
		}
		if err != nil {
			return Product{}, false, err
		}
		return p, false, nil
	}
}

// ErrKeyTaken says that a key of Once is in use.
var ErrKeyTaken = errs.New(errs.Conflict, "idempotency-key-taken", "the Idempotency-Key is in use")

// ErrVersionChanged says that a product or the tree is at another version.
var ErrVersionChanged = errs.New(errs.PreconditionFailed, "stale-version", "it has changed since you read it; read it again and repeat the change").
	With(errs.Field{Pointer: "header:If-Match", Detail: "is not the current version"})

// UpdateProduct applies a patch to a version of a product; version may be AnyVersion.
// A patch that changes nothing makes no new version.
func (c *Catalog) UpdateProduct(ctx context.Context, id string, version int64, patch ProductPatch) (Product, error) {
	return c.changeProduct(ctx, id, version, func(p *Product) error {
		to := p.Status
		if patch.Status != nil {
			to = *patch.Status
		}
		if p.Status == Archived && to != Archived {
			if err := p.Restore(to); err != nil {
				return err
			}
		}
		category := text(p.CategoryID)
		if err := p.Edit(patch); err != nil {
			return err
		}
		if text(p.CategoryID) != category {
			if err := c.checkCategory(ctx, p.CategoryID); err != nil {
				return err
			}
		}
		switch to {
		case p.Status:
			return nil
		case Archived:
			return p.Archive()
		}
		return p.Show(to)
	})
}

// ArchiveProduct takes a version of a product off the shelf; version may be
// AnyVersion.
func (c *Catalog) ArchiveProduct(ctx context.Context, id string, version int64) (Product, error) {
	return c.changeProduct(ctx, id, version, (*Product).Archive)
}

func (c *Catalog) changeProduct(ctx context.Context, id string, version int64, change func(*Product) error) (Product, error) {
	for {
		before, err := c.store.Product(ctx, id)
		if err != nil {
			return Product{}, err
		}
		if err := matches(before.Version, version); err != nil {
			return Product{}, err
		}
		p := before
		if err := change(&p); err != nil {
			return Product{}, err
		}
		if same, err := equal(&before, &p); err != nil || same {
			return before, err
		}
		p.Version++
		p.UpdatedAt = later(c.now(), before.UpdatedAt)
		if err := c.checkWaiting(ctx); err != nil {
			return Product{}, err
		}
		e, err := newEvent(ctx, changed(before.Status, p.Status), p.ID, p.Version, p.UpdatedAt, &p)
		if err != nil {
			return Product{}, err
		}
		err = c.store.ReplaceProduct(ctx, p, e, c.settings().PendingPerProduct)
		if version == AnyVersion && errors.Is(err, ErrVersionChanged) && ctx.Err() == nil {
			continue // any version will do, so also the newest
		}
		if err != nil {
			return Product{}, err
		}
		return p, nil
	}
}

// equal compares as JSON, in which nil and empty are one.
func equal(a, b *Product) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return bytes.Equal(x, y), err
}

func changed(from, to Status) EventType {
	switch {
	case from != Archived && to == Archived:
		return ProductArchived
	case from == Archived && to != Archived:
		return ProductRestored
	}
	return ProductUpdated
}

// checkCategory wants an active category, or none.
func (c *Catalog) checkCategory(ctx context.Context, id *string) error {
	if id == nil {
		return nil
	}
	category, _, err := c.category(ctx, *id)
	if errs.KindOf(err) != errs.NotFound && err != nil {
		return err
	}
	if err != nil || category.ID != *id || category.Status != Active {
		return errs.New(errs.Unprocessable, "invalid-product", "the product breaks a rule").
			With(errs.Field{Pointer: "/category_id", Detail: "must be the id of an active category, or null"})
	}
	return nil
}
