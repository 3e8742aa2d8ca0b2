// Package store keeps the catalogue in MongoDB. Every change is one atomic update of
// one document, events included: no transactions, sessions or change streams, so it
// works on a lone server as on a replica set.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/x/mongo/driver/topology"

	"souk/internal/errs"
	"souk/services/catalog/app"
)

// Options of a Store.
type Options struct {
	URI      string // mongodb://…
	Database string
	// Timeout bounds each call, so that a database that is away costs a request no more
	// than this; 1.5 s if zero.
	Timeout time.Duration
	// PoolSize is the most connections at once; 16 if zero.
	PoolSize uint64
}

// Store is app.Store, and the relay's outbox and lease, on MongoDB.
type Store struct {
	client   *mongo.Client
	products *mongo.Collection
	trees    *mongo.Collection
	leases   *mongo.Collection
	timeout  time.Duration
}

// Open prepares a store; it does not wait for the database. Call Prepare before use.
func Open(ctx context.Context, opts Options) (*Store, error) {
	timeout := cmp.Or(opts.Timeout, 1500*time.Millisecond)
	client, err := mongo.Connect(ctx, options.Client().
		SetAppName("souk-catalog").
		SetServerSelectionTimeout(timeout*2/3). // leaves time to say so
		SetConnectTimeout(timeout*2/3).
		SetHeartbeatInterval(5*time.Second).
		SetMaxPoolSize(cmp.Or(opts.PoolSize, 16)).
		SetMaxConnIdleTime(5*time.Minute).
		// A write that is repeated behind our back has no place here: each is conditional
		// or has a unique id, and the caller is told when its outcome is unknown. Servers
		// without sessions refuse such writes anyway.
		SetRetryWrites(false).
		ApplyURI(opts.URI))
	if err != nil {
		return nil, fmt.Errorf("connect to MongoDB: %w", err)
	}
	db := client.Database(opts.Database)
	return &Store{
		client: client, timeout: timeout,
		products: db.Collection("products"), trees: db.Collection("categories"), leases: db.Collection("leases"),
	}, nil
}

// Close ends the connections, waiting for what is under way until ctx ends.
func (s *Store) Close(ctx context.Context) error { return s.client.Disconnect(ctx) }

// Prepare creates what is missing: indexes and the tree. It may run in many instances
// at once and any number of times.
func (s *Store) Prepare(ctx context.Context) error {
	models := make([]mongo.IndexModel, len(indexes))
	for i, index := range indexes {
		models[i] = index.model()
	}
	if _, err := s.products.Indexes().CreateMany(ctx, models); err != nil {
		return fmt.Errorf("create the indexes: %w", failed(err))
	}
	return s.plantTree(ctx)
}

// within bounds one call that a request waits for.
func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

// unhurried bounds one call that nobody waits for: giving up early would only repeat it.
func (s *Store) unhurried(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 10*s.timeout)
}

// failed turns a driver's error of a read into ours: the database's trouble is the
// service being unavailable, anything else is our mistake.
func failed(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if away(err) {
		return app.Away().Because(err)
	}
	return fmt.Errorf("mongodb: %w", err)
}

// failedWrite is failed for a write. Unless it can't have reached the database, nobody
// knows whether it was made.
func failedWrite(err error) error {
	if err == nil {
		return nil
	}
	if neverSent(err) {
		return failed(err)
	}
	if away(err) || errors.Is(err, context.Canceled) {
		return errs.New(errs.Unavailable, "outcome-unknown",
			"the database did not answer in time: the change may have been made or not; read before trying again, or repeat with the same Idempotency-Key").
			After(2 * time.Second).Because(err)
	}
	return fmt.Errorf("mongodb: %w", err)
}

// away: no server, no answer, or an answer that another server would not give.
func away(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || mongo.IsTimeout(err) || mongo.IsNetworkError(err) || neverSent(err) {
		return true
	}
	if errors.Is(err, mongo.ErrClientDisconnected) {
		return true
	}
	var concern *mongo.WriteConcernError
	var we mongo.WriteException
	if errors.As(err, &we) {
		concern = we.WriteConcernError
	}
	var bulk mongo.BulkWriteException
	if errors.As(err, &bulk) {
		concern = bulk.WriteConcernError
	}
	if concern != nil {
		return true // written, but perhaps not to stay
	}
	var se mongo.ServerError
	if !errors.As(err, &se) {
		return false
	}
	// Not primary, shutting down, stepping down, interrupted.
	for _, code := range []int{6, 7, 89, 91, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436, 50} {
		if se.HasErrorCode(code) {
			return true
		}
	}
	return false
}

// neverSent: no server could be chosen or reached, so nothing was asked of any.
func neverSent(err error) bool {
	var selection topology.ServerSelectionError
	var waiting topology.WaitQueueTimeoutError
	return errors.As(err, &selection) || errors.As(err, &waiting)
}

// duplicateKey is how MongoDB says which unique index a write broke. The names before
// the key are ours, so nothing that a client sent can match in their place.
var duplicateKey = regexp.MustCompile(`^(?:Plan executor error[^:]* :: caused by :: )?E11000 duplicate key error collection: \S+ index: (\S+) dup key:`)

// takenIndex is the name of the unique index that a write broke, or "".
func takenIndex(err error) string {
	var we mongo.WriteException
	if !errors.As(err, &we) || len(we.WriteErrors) == 0 || we.WriteErrors[0].Code != 11000 {
		return ""
	}
	if m := duplicateKey.FindStringSubmatch(we.WriteErrors[0].Message); m != nil {
		return m[1]
	}
	return ""
}
