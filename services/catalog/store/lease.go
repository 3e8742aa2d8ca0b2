package store

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// leaseDoc says which instance does something that one at a time should do. Beat
// counts up with every renewal and every change of hands: who holds the newest beat
// holds the lease.
type leaseDoc struct {
	ID     string `bson:"_id"`
	Holder string `bson:"holder"` // "" when it was given back
	Beat   int64  `bson:"beat"`
}

// Lease is one instance's view of a lease. One goroutine at a time may use it.
//
// Nobody's clock is compared with another's: a lease is free when its beat has not
// moved for TTL on the clock of the one who watches it, and its holder stops relying
// on it sooner than that on its own (Held).
//
// It is a document beside the outbox rather than a Consul session because then the
// relay depends on nothing more than what it relays from: an instance that can't reach
// the lease could not read an event either. A Consul session would also hold a dead
// leader's lock for its shortest TTL, 10 s, and the lock-delay on top.
type Lease struct {
	store *Store
	name  string
	self  string
	ttl   time.Duration

	beat    int64     // as last seen or written
	changed time.Time // when beat was first seen at its value
	held    time.Time // when the last successful renewal began; zero if not held
}

// Lease for an instance; self must be unique among all that ever run.
func (s *Store) Lease(name, self string, ttl time.Duration) *Lease {
	return &Lease{store: s, name: name, self: self, ttl: ttl}
}

// Held reports whether this instance may act as the holder now: until two thirds of
// the TTL after its last renewal, so that it has stopped before another begins.
func (l *Lease) Held() bool { return !l.held.IsZero() && time.Since(l.held) < l.ttl*2/3 }

// Acquire takes, keeps or watches the lease; call it several times per TTL. It reports
// Held. An error leaves everything as it was.
func (l *Lease) Acquire(ctx context.Context) (bool, error) {
	began := time.Now()
	if l.Held() {
		taken, err := l.swap(ctx, l.self, l.beat)
		switch {
		case err != nil:
			return l.Held(), err
		case taken:
			l.held = began
			return true, nil
		}
		l.held = time.Time{} // another took it
	}
	d, err := l.read(ctx)
	if err != nil {
		return false, err
	}
	if d.Beat != l.beat || l.changed.IsZero() {
		l.beat, l.changed = d.Beat, began
	}
	if d.Holder != "" && d.Holder != l.self && time.Since(l.changed) < l.ttl {
		return false, nil
	}
	taken, err := l.swap(ctx, l.self, d.Beat)
	if err != nil || !taken {
		return false, err
	}
	l.held = began
	return true, nil
}

// Release gives the lease back, so that another can have it at once.
func (l *Lease) Release(ctx context.Context) error {
	if l.held.IsZero() {
		return nil
	}
	l.held = time.Time{}
	_, err := l.swap(ctx, "", l.beat)
	return err
}

// swap writes the next beat with a holder, if the stored beat is the expected one.
func (l *Lease) swap(ctx context.Context, holder string, beat int64) (bool, error) {
	ctx, cancel := l.store.within(ctx)
	defer cancel()
	began := time.Now()
	r, err := l.store.leases.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: l.name}, {Key: "beat", Value: beat}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "holder", Value: holder}, {Key: "beat", Value: beat + 1}}}})
	if err != nil || r.MatchedCount == 0 {
		return false, failed(err)
	}
	l.beat, l.changed = beat+1, began
	return true, nil
}

// read gives the lease, which it makes, free, if there is none.
func (l *Lease) read(ctx context.Context) (leaseDoc, error) {
	ctx, cancel := l.store.within(ctx)
	defer cancel()
	var d leaseDoc
	err := l.store.leases.FindOne(ctx, bson.D{{Key: "_id", Value: l.name}}, options.FindOne().SetProjection(only("holder", "beat"))).Decode(&d)
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return d, failed(err)
	}
	d = leaseDoc{ID: l.name}
	if _, err = l.store.leases.InsertOne(ctx, d); mongo.IsDuplicateKeyError(err) {
		err = nil // another made it just now; the swap decides
	}
	return d, failed(err)
}
