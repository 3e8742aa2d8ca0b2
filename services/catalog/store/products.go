package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"souk/internal/errs"
	"souk/services/catalog/app"
)

// only asks for fields by name.
func only(fields ...string) bson.D {
	d := make(bson.D, len(fields))
	for i, f := range fields {
		d[i] = bson.E{Key: f, Value: 1}
	}
	return d
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }

// Product implements app.Store.
func (s *Store) Product(ctx context.Context, id string) (app.Product, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	var d productDoc
	err := s.products.FindOne(ctx, byID(id), options.FindOne().SetProjection(only(readFields...))).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return app.Product{}, notFound()
	}
	if err != nil {
		return app.Product{}, failed(err)
	}
	return d.product(), nil
}

func notFound() error {
	return errs.New(errs.NotFound, "product-not-found", "there is no product with this id")
}

// Shown implements app.Store.
func (s *Store) Shown(ctx context.Context, id string) (app.Shown, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	var d productDoc
	err := s.products.FindOne(ctx, byID(id), options.FindOne().SetProjection(only("version", "shown"))).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return app.Shown{}, notFound()
	}
	if err != nil {
		return app.Shown{}, failed(err)
	}
	return s.show(ctx, &d, app.Newest)
}

// show gives a product's JSON, from its parts if that is not stored in today's shape.
func (s *Store) show(ctx context.Context, d *productDoc, order app.Sort) (app.Shown, error) {
	if shown, today := d.shown(order); today {
		return shown, nil
	}
	p, err := s.Product(ctx, d.ID)
	if err != nil {
		return app.Shown{}, err
	}
	shown, err := app.Show(&p)
	shown.Key = order.Key(&p)
	return shown, err
}

// Products implements app.Store.
func (s *Store) Products(ctx context.Context, q app.Query, categories []string) ([]app.Shown, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	p := planOf(q, categories)
	cursor, err := s.products.Find(ctx, p.filter, options.Find().SetProjection(only("version", "shown", "sort")).
		SetSort(p.sort).SetHint(p.index).SetLimit(int64(q.Limit)).SetBatchSize(int32(q.Limit)))
	if err != nil {
		return nil, failed(err)
	}
	var docs []productDoc
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, failed(err)
	}
	products := make([]app.Shown, len(docs))
	for i := range docs {
		if products[i], err = s.show(ctx, &docs[i], q.Sort); err != nil {
			return nil, err
		}
	}
	return products, nil
}

// InsertProduct implements app.Store.
func (s *Store) InsertProduct(ctx context.Context, p app.Product, e app.Event, once *app.Once) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	d := productDoc{
		ID: p.ID, CreatedAt: p.CreatedAt, Fields: fieldsOf(&p, e.Data),
		Outbox: []eventDoc{docOf(e)}, PendingSince: &e.Time,
	}
	if once != nil {
		// The event's data is the product just as it is answered now.
		d.Once = &onceDoc{Key: once.Key, Fingerprint: once.Fingerprint, Expires: once.Expires, Reply: string(e.Data)}
	}
	_, err := s.products.InsertOne(ctx, d)
	if taken := takenIndex(err); taken != "" {
		return s.taken(ctx, taken, &p)
	}
	return failedWrite(err)
}

// ReplaceProduct implements app.Store.
func (s *Store) ReplaceProduct(ctx context.Context, p app.Product, e app.Event, maxPending int) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	filter := bson.D{
		{Key: "_id", Value: p.ID},
		{Key: "version", Value: p.Version - 1},
		{Key: fmt.Sprintf("outbox.%d", maxPending-1), Value: bson.D{{Key: "$exists", Value: false}}},
	}
	result, err := s.products.UpdateOne(ctx, filter, bson.D{
		{Key: "$set", Value: fieldsOf(&p, e.Data)},
		{Key: "$push", Value: bson.D{{Key: "outbox", Value: docOf(e)}}},
		{Key: "$min", Value: bson.D{{Key: "pending_since", Value: e.Time}}},
	})
	if taken := takenIndex(err); taken != "" {
		return s.taken(ctx, taken, &p)
	}
	if err != nil {
		return failedWrite(err)
	}
	if result.MatchedCount == 1 {
		return nil
	}
	return refused(ctx, s.products, p.ID, p.Version-1, notFound)
}

// refused says why a conditional update matched nothing.
func refused(ctx context.Context, c *mongo.Collection, id string, version int64, missing func() error) error {
	var d struct {
		Version int64 `bson:"version"`
	}
	err := c.FindOne(ctx, byID(id), options.FindOne().SetProjection(only("version"))).Decode(&d)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return missing()
	case err != nil:
		return failed(err)
	case d.Version != version:
		return app.ErrVersionChanged
	}
	return app.OutboxFull()
}

// taken is the error for a unique index that p broke.
func (s *Store) taken(ctx context.Context, index string, p *app.Product) error {
	switch index {
	case indexSlug:
		return errs.New(errs.Conflict, "slug-taken", "another product has this slug; choose another").
			With(errs.Field{Pointer: "/slug", Detail: "is taken"})
	case indexOnce:
		return app.ErrKeyTaken
	case indexSKU:
		return errs.New(errs.Conflict, "sku-taken", "another product has a variant with the same SKU; choose another").
			With(s.takenSKUs(ctx, p)...)
	}
	return fmt.Errorf("mongodb: unique index %s is broken", index)
}

// takenSKUs names the SKUs that other products have, as far as that can be found out.
func (s *Store) takenSKUs(ctx context.Context, p *app.Product) []errs.Field {
	skus := make([]string, len(p.Variants))
	for i, v := range p.Variants {
		skus[i] = v.SKU
	}
	cursor, err := s.products.Find(ctx, bson.D{{Key: "variants.sku", Value: bson.D{{Key: "$in", Value: skus}}}},
		options.Find().SetProjection(only("variants.sku")))
	if err != nil {
		return nil
	}
	var docs []productDoc
	if cursor.All(ctx, &docs) != nil {
		return nil
	}
	others := map[string]bool{}
	for _, d := range docs {
		for _, v := range d.Fields.Variants {
			others[v.SKU] = d.ID != p.ID
		}
	}
	var fields []errs.Field
	for i, sku := range skus {
		if others[sku] {
			fields = append(fields, errs.Field{Pointer: fmt.Sprintf("/variants/%d/sku", i), Detail: "is taken"})
		}
	}
	return fields
}

// onceDoc remembers a request that had an Idempotency-Key, inside what it made.
type onceDoc struct {
	Key         string    `bson:"key"`
	Fingerprint []byte    `bson:"fingerprint"`
	Expires     time.Time `bson:"expires"`
	Reply       string    `bson:"reply"` // JSON of what was made, as it was then
}

// Created implements app.Store.
func (s *Store) Created(ctx context.Context, once app.Once, now time.Time) (app.Product, bool, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	key := bson.E{Key: "once.key", Value: once.Key}
	var d productDoc
	err := s.products.FindOne(ctx, bson.D{key}, options.FindOne().SetProjection(only("once"))).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) || err == nil && d.Once == nil {
		return app.Product{}, false, nil
	}
	if err != nil {
		return app.Product{}, false, failed(err)
	}
	if !d.Once.Expires.After(now) {
		_, err := s.products.UpdateOne(ctx, bson.D{key, expired(now)}, forget)
		return app.Product{}, false, failed(err)
	}
	p, err := replay[app.Product](d.Once, once)
	return p, err == nil, err
}

// expired selects keys that are no longer remembered.
func expired(now time.Time) bson.E {
	return bson.E{Key: "once.expires", Value: bson.D{{Key: "$lte", Value: now}}}
}

var forget = bson.D{{Key: "$unset", Value: bson.D{{Key: "once", Value: ""}}}}

// Sweep forgets the keys that have expired, and gives back the room of their replies.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	ctx, cancel := s.unhurried(ctx)
	defer cancel()
	_, err := s.products.UpdateMany(ctx, bson.D{expired(now)}, forget)
	return failed(err)
}

// replay is what a request made before, if this is the same request.
func replay[T any](d *onceDoc, once app.Once) (made T, err error) {
	if !bytes.Equal(d.Fingerprint, once.Fingerprint) {
		return made, errs.IdempotencyKeyReused()
	}
	return made, json.Unmarshal([]byte(d.Reply), &made)
}
