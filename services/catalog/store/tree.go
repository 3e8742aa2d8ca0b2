package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"souk/services/catalog/app"
)

// treeDoc is the one document of all categories.
type treeDoc struct {
	ID           string        `bson:"_id"` // app.TreeKey
	Version      int64         `bson:"version"`
	Items        []categoryDoc `bson:"items"` // as app.Tree orders them
	Once         []onceDoc     `bson:"once"`  // no more than there are categories, as only making one adds to it
	Outbox       []eventDoc    `bson:"outbox"`
	PendingSince *time.Time    `bson:"pending_since,omitempty"`
}

type categoryDoc struct {
	ID        string     `bson:"id"`
	Slug      string     `bson:"slug"`
	Name      string     `bson:"name"`
	ParentID  string     `bson:"parent_id"` // "" at the top
	Status    app.Status `bson:"status"`
	Version   int64      `bson:"version"`
	CreatedAt time.Time  `bson:"created_at"`
	UpdatedAt time.Time  `bson:"updated_at"`
	Path      []string   `bson:"path"`
}

func categoryDocs(items []app.Category) []categoryDoc {
	docs := make([]categoryDoc, len(items))
	for i, c := range items {
		docs[i] = categoryDoc{ID: c.ID, Slug: c.Slug, Name: c.Name, Status: c.Status, Version: c.Version, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, Path: c.Path}
		if c.ParentID != nil {
			docs[i].ParentID = *c.ParentID
		}
	}
	return docs
}

func (d *treeDoc) tree() app.Tree {
	t := app.Tree{Version: d.Version, Items: make([]app.Category, len(d.Items))}
	for i, c := range d.Items {
		t.Items[i] = app.Category{ID: c.ID, Slug: c.Slug, Name: c.Name, Status: c.Status, Version: c.Version, CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(), Path: c.Path}
		if c.ParentID != "" {
			t.Items[i].ParentID = &c.ParentID
		}
	}
	return t
}

// plantTree makes the empty tree if there is none.
func (s *Store) plantTree(ctx context.Context) error {
	_, err := s.trees.InsertOne(ctx, treeDoc{ID: app.TreeKey, Items: []categoryDoc{}, Once: []onceDoc{}, Outbox: []eventDoc{}})
	if err != nil && !mongo.IsDuplicateKeyError(err) {
		return fmt.Errorf("make the tree of categories: %w", failed(err))
	}
	return nil
}

func (s *Store) readTree(ctx context.Context, fields ...string) (treeDoc, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	var d treeDoc
	err := s.trees.FindOne(ctx, byID(app.TreeKey), options.FindOne().SetProjection(only(fields...))).Decode(&d)
	return d, failed(err)
}

// Tree implements app.Store.
func (s *Store) Tree(ctx context.Context) (app.Tree, error) {
	d, err := s.readTree(ctx, "version", "items")
	return d.tree(), err
}

// TreeFor implements app.Store.
func (s *Store) TreeFor(ctx context.Context, once app.Once, now time.Time) (app.Tree, *app.Category, error) {
	d, err := s.readTree(ctx, "version", "items", "once")
	if err != nil {
		return app.Tree{}, nil, err
	}
	for _, o := range d.Once {
		if o.Key == once.Key && o.Expires.After(now) {
			made, err := replay[app.Category](&o, once)
			return d.tree(), &made, err
		}
	}
	return d.tree(), nil, nil
}

// ReplaceTree implements app.Store.
func (s *Store) ReplaceTree(ctx context.Context, t app.Tree, e app.Event, maxPending int, once *app.Once, made app.Category) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	filter := bson.D{
		{Key: "_id", Value: app.TreeKey},
		{Key: "version", Value: t.Version - 1},
		{Key: fmt.Sprintf("outbox.%d", maxPending-1), Value: bson.D{{Key: "$exists", Value: false}}},
	}
	change := bson.D{{Key: "version", Value: t.Version}, {Key: "items", Value: categoryDocs(t.Items)}}
	if once != nil {
		kept, err := s.remember(ctx, once, made, e.Time)
		if err != nil {
			return err
		}
		change = append(change, bson.E{Key: "once", Value: kept})
	}
	result, err := s.trees.UpdateOne(ctx, filter, bson.D{
		{Key: "$set", Value: change},
		{Key: "$push", Value: bson.D{{Key: "outbox", Value: docOf(e)}}},
		{Key: "$min", Value: bson.D{{Key: "pending_since", Value: e.Time}}},
	})
	if err != nil {
		return failedWrite(err)
	}
	if result.MatchedCount == 1 {
		return nil
	}
	return refused(ctx, s.trees, app.TreeKey, t.Version-1, func() error { return errNotPlanted })
}

var errNotPlanted = errors.New("mongodb: the tree of categories is missing; it is made when the service starts")

// remember gives the keys to keep from now on: those that have not expired, and one
// more. The version guards them as it does the items: whatever adds a key counts up.
func (s *Store) remember(ctx context.Context, once *app.Once, made app.Category, now time.Time) ([]onceDoc, error) {
	d, err := s.readTree(ctx, "once")
	if err != nil {
		return nil, err
	}
	reply, err := json.Marshal(made)
	if err != nil {
		return nil, err
	}
	kept := slices.DeleteFunc(d.Once, func(o onceDoc) bool { return !o.Expires.After(now) || o.Key == once.Key })
	return append(kept, onceDoc{Key: once.Key, Fingerprint: once.Fingerprint, Expires: once.Expires, Reply: string(reply)}), nil
}
