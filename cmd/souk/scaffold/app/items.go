package app

import (
	"context"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// MaxPage is how many items one page may have.
const MaxPage = 100

// Errors that a store or a use case returns.
var (
	ErrNotFound = errs.New(errs.NotFound, "item-not-found", "there is no item with this id")
	ErrStale    = errs.New(errs.PreconditionFailed, "stale-version", "it has changed since you read it; read it again")
)

// Store keeps items. Each method is one transaction. Failures of the database are errs.Unavailable.
type Store interface {
	// Insert adds an item. With once, a request that comes again gets what the first one made, and replayed is true.
	Insert(ctx context.Context, item Item, once *Once) (made Item, replayed bool, err error)
	// Item by id, or ErrNotFound.
	Item(ctx context.Context, id uuid.UUID) (Item, error)
	// Items, newest first: at most limit of those older than before, or of all if that is uuid.Nil.
	Items(ctx context.Context, before uuid.UUID, limit int) ([]Item, error)
	// Change stores what change makes of an item that nobody else changes meanwhile, unless it returns an error.
	// It may be called again, with the item as it is then.
	Change(ctx context.Context, id uuid.UUID, change func(*Item) error) (Item, error)
}

// Once makes a request that comes again with the same key have one effect.
type Once struct {
	Principal   string // who asks: keys of others are other keys
	Route       string // method and route template: "POST /v1/items"
	Key         string // Idempotency-Key
	Fingerprint []byte // of the whole request
}

// Items has the use cases. It is safe for concurrent use.
type Items struct {
	store Store
	now   func() time.Time
}

// New makes the use cases on a store.
func New(store Store) *Items { return &Items{store: store, now: time.Now} }

// Create adds an item; once may be nil.
func (i *Items) Create(ctx context.Context, name string, once *Once) (item Item, replayed bool, err error) {
	item, err = NewItem(name, i.now())
	if err != nil {
		return Item{}, false, err
	}
	return i.store.Insert(ctx, item, once)
}

// Item by id.
func (i *Items) Item(ctx context.Context, id uuid.UUID) (Item, error) { return i.store.Item(ctx, id) }

// Page of items.
type Page struct {
	Items []Item
	More  bool // there are older ones
}

// List gives the newest items that are older than before, or the newest of all if that is uuid.Nil.
func (i *Items) List(ctx context.Context, before uuid.UUID, limit int) (Page, error) {
	items, err := i.store.Items(ctx, before, limit+1) // one more tells whether there is a next page
	if err != nil || len(items) <= limit {
		return Page{Items: items}, err
	}
	return Page{Items: items[:limit], More: true}, nil
}

// Rename gives an item another name, if allows its version; else the error is ErrStale.
func (i *Items) Rename(ctx context.Context, id uuid.UUID, allows func(version int64) bool, name string) (Item, error) {
	return i.store.Change(ctx, id, func(item *Item) error {
		if !allows(item.Version) {
			return ErrStale
		}
		return item.Rename(name, i.now())
	})
}
