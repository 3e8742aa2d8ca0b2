package store

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"souk/services/catalog/app"
)

// eventDoc is an event that waits in the document that it tells of.
type eventDoc struct {
	ID          string        `bson:"id"`
	Type        app.EventType `bson:"type"`
	Sequence    int64         `bson:"sequence"`
	Time        time.Time     `bson:"time"`
	Traceparent string        `bson:"traceparent,omitempty"`
	Data        string        `bson:"data"`
}

func docOf(e app.Event) eventDoc {
	return eventDoc{ID: e.ID, Type: e.Type, Sequence: e.Sequence, Time: e.Time, Traceparent: e.Traceparent, Data: string(e.Data)}
}

// outboxDoc is the part of a product or of the tree that the relay sees.
type outboxDoc struct {
	ID     string     `bson:"_id"`
	Outbox []eventDoc `bson:"outbox"`
}

// pending selects the documents whose outbox has events.
var pending = bson.D{{Key: "pending_since", Value: bson.D{{Key: "$gt", Value: time.Unix(0, 0)}}}}

// maxBatchBytes ends a batch of events early: products can be large.
const maxBatchBytes = 4 << 20

// Pending is for the relay: the events to publish, some of them if they are many.
func (s *Store) Pending(ctx context.Context, limit int) ([]app.Event, error) {
	ctx, cancel := s.unhurried(ctx)
	defer cancel()
	events, err := pendingIn(ctx, s.trees, limit, nil)
	if err != nil || len(events) >= limit {
		return events, err
	}
	of, err := pendingIn(ctx, s.products, limit-len(events), indexPending)
	return append(events, of...), err
}

// pendingIn reads the events that wait in a collection, the subjects that have waited
// longest first, those of one subject in their order.
func pendingIn(ctx context.Context, c *mongo.Collection, limit int, hint any) (events []app.Event, err error) {
	opts := options.Find().SetProjection(only("outbox")).SetSort(bson.D{{Key: "pending_since", Value: 1}}).
		SetLimit(int64(limit)).SetBatchSize(16)
	if hint != nil {
		opts.SetHint(hint)
	}
	cursor, err := c.Find(ctx, pending, opts)
	if err != nil {
		return nil, failed(err)
	}
	defer func() { err = errors.Join(err, failed(cursor.Close(ctx))) }()
	for size := 0; size < maxBatchBytes && len(events) < limit && cursor.Next(ctx); {
		var d outboxDoc
		if err := cursor.Decode(&d); err != nil {
			return nil, failed(err)
		}
		if len(d.Outbox) == 0 { // a relay died between pulling and clearing
			if err := clearMarks(ctx, c); err != nil {
				return nil, err
			}
		}
		for _, e := range d.Outbox {
			size += len(e.Data)
			events = append(events, app.Event{
				ID: e.ID, Type: e.Type, Subject: d.ID, Sequence: e.Sequence, Time: e.Time.UTC(), Traceparent: e.Traceparent, Data: []byte(e.Data),
			})
		}
	}
	return events, failed(cursor.Err())
}

// Published is for the relay: it pulls the events by their ids, then clears the
// marks of the documents whose outbox is empty now.
func (s *Store) Published(ctx context.Context, events []app.Event) error {
	ctx, cancel := s.unhurried(ctx)
	defer cancel()
	ids := map[*mongo.Collection]map[string][]string{s.products: {}, s.trees: {}}
	for _, e := range events {
		c := s.products
		if e.Subject == app.TreeKey {
			c = s.trees
		}
		ids[c][e.Subject] = append(ids[c][e.Subject], e.ID)
	}
	for c, subjects := range ids {
		var pulls []mongo.WriteModel
		for subject, published := range subjects {
			pulls = append(pulls, mongo.NewUpdateOneModel().SetFilter(byID(subject)).SetUpdate(bson.D{{Key: "$pull", Value: bson.D{
				{Key: "outbox", Value: bson.D{{Key: "id", Value: bson.D{{Key: "$in", Value: published}}}}}}}}))
		}
		if len(pulls) == 0 {
			continue
		}
		if _, err := c.BulkWrite(ctx, pulls, options.BulkWrite().SetOrdered(false)); err != nil {
			return failed(err)
		}
		if err := clearMarks(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func clearMarks(ctx context.Context, c *mongo.Collection) error {
	empty := append(bson.D{{Key: "outbox", Value: bson.D{{Key: "$size", Value: 0}}}}, pending...)
	_, err := c.UpdateMany(ctx, empty, bson.D{{Key: "$unset", Value: bson.D{{Key: "pending_since", Value: ""}}}})
	return failed(err)
}

// Waiting implements app.Store. The count command, unlike an aggregation, walks only
// the index of marked products, no further than the limit.
func (s *Store) Waiting(ctx context.Context, limit int) (int, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	var answer struct {
		N int `bson:"n"`
	}
	err := s.products.Database().RunCommand(ctx, bson.D{
		{Key: "count", Value: s.products.Name()}, {Key: "query", Value: pending}, {Key: "limit", Value: limit}, {Key: "hint", Value: indexPending},
	}).Decode(&answer)
	if err != nil {
		return 0, failed(err)
	}
	return answer.N, nil
}
