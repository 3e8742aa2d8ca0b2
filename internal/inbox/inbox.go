// Package inbox consumes events for a service whose database is PostgreSQL, so that
// each takes effect exactly once: the note that an event is done and its effect are
// one transaction, and the offset is stored after that. Whatever is delivered again
// (a crash before the offset was stored, a rebalance, an outbox that published twice)
// meets the note and does nothing.
//
// Batches. With Options.HandleAll, what is queued of a partition, up to Options.Batch
// events, is one transaction: one note, one commit, and whatever the handler can do for
// many at once. A batch that fails is undone and its events are settled one by one, so
// that a bad one harms nothing but its own key.
//
// Order. The events of a partition are handled one after the other; partitions side by
// side. There are no retry topics: an event that went to one would be overtaken by what
// follows of its key. It is tried again in its place instead, and when that is of no use
// it doesn't hold up its partition for ever: it is parked, and so is whatever follows of
// its key, until an operator replays the key (replay.go) or drops the event. Events
// without a key have no order, and each is parked alone.
//
// Two members that take the same partition for theirs, as one that was suspended does,
// do no harm: each event's note is a unique row, so the second waits for the first and
// then passes over, and nobody comes to an event before its predecessor is settled.
package inbox

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/postgres"
)

type consumer struct {
	Options
	pool    *postgres.Pool
	dead    *deadLetters
	metrics *metrics
}

// outcome of an attempt that did not fail. Whatever is in neither was handled.
type outcome struct {
	duplicates int
	behind     []delivery // their keys are parked; nothing was done with them
}

// attempt hands events of one partition over, once, all in one transaction.
func (c *consumer) attempt(ctx context.Context, ds []delivery) (result outcome, err error) {
	for _, d := range ds {
		if d.broken != nil {
			return outcome{}, Poison(d.broken)
		}
	}
	if len(ds) == 1 {
		ctx = Traced(ctx, ds[0].message)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	begun := false
	var fresh []events.Message
	err = postgres.Tx(ctx, c.pool, func(tx pgx.Tx) error {
		begun, result = false, outcome{}
		var behind []delivery
		var err error
		if fresh, behind, err = c.claim(ctx, tx, ds); err != nil {
			return fmt.Errorf("inbox: claim events: %w", err)
		}
		result = outcome{duplicates: len(ds) - len(fresh) - len(behind), behind: behind}
		if len(fresh) == 0 {
			return errNothing
		}
		begun = true
		return c.handle(ctx, tx, fresh)
	})
	switch {
	case errors.Is(err, errNothing):
		return result, nil
	case err != nil && !begun:
		return outcome{}, Transient(err) // not the handler's, so not the event's fault
	case err == nil:
		c.Committed(fresh)
	}
	return result, err
}

// errNothing undoes a transaction in which there is nothing to do.
var errNothing = errors.New("none of the events is to be handled")

// claim notes the events as done, and gives those that were not noted before: fresh
// ones, and those whose key is parked, whose note it takes back.
//
// Which keys are parked is asked by a statement of its own, when the notes are ours: who
// parks an event notes it first, so from then on nobody parks one of these, and what has
// been parked before them is seen. The notes are made in the order of their ids, so that
// no two batches with events in common wait for each other.
func (c *consumer) claim(ctx context.Context, tx pgx.Tx, ds []delivery) (fresh []events.Message, behind []delivery, err error) {
	ids, keys := make([]string, len(ds)), make([]string, len(ds))
	for i, d := range ds {
		ids[i], keys[i] = d.event, d.key
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO inbox (consumer, event) SELECT $1, event FROM unnest($2::bytea[]) AS event ON CONFLICT DO NOTHING RETURNING event`,
		c.Group, sortedBytes(ids))
	batch.Queue(`SELECT key FROM inbox_parked_keys WHERE consumer = $1 AND topic = $2 AND key = ANY($3::bytea[])`, c.Group, ds[0].Topic, sortedBytes(keys))
	results := tx.SendBatch(ctx, batch)
	claimed, err := set(results)
	parked := map[string]bool{}
	if err == nil {
		parked, err = set(results)
	}
	if closing := results.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, nil, err
	}
	var unclaimed []string
	for _, d := range ds {
		switch {
		case !claimed[d.event]: // before, or earlier in this batch
		case parked[d.key]:
			behind = append(behind, d)
			unclaimed = append(unclaimed, d.event)
		default:
			fresh = append(fresh, d.message)
		}
		delete(claimed, d.event)
	}
	if len(fresh) > 0 && len(behind) > 0 {
		_, err = tx.Exec(ctx, `DELETE FROM inbox WHERE consumer = $1 AND event = ANY($2::bytea[])`, c.Group, sortedBytes(unclaimed))
	}
	return fresh, behind, err
}

// sortedBytes is what PostgreSQL takes for a bytea[], without repetitions.
func sortedBytes(values []string) [][]byte {
	values = slices.Compact(slices.Sorted(slices.Values(values)))
	all := make([][]byte, len(values))
	for i, v := range values {
		all[i] = []byte(v)
	}
	return all
}

// set is the rows of the next result, each one bytea.
func set(results pgx.BatchResults) (map[string]bool, error) {
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	var value []byte
	_, err = pgx.ForEachRow(rows, []any{&value}, func() error {
		found[string(value)] = true
		return nil
	})
	return found, err
}

// handle calls HandleAll and turns its panic into poison. What fails while the connection
// goes is not the events' fault.
func (c *consumer) handle(ctx context.Context, tx pgx.Tx, ms []events.Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.Log.ErrorContext(ctx, "A handler of events panicked", "error.message", fmt.Sprint(v), "error.stack_trace", string(debug.Stack()))
			err = Poison(panicked{v})
		}
	}()
	if err = c.HandleAll(ctx, tx, ms); err != nil && judge(err) == counted && tx.Conn().IsClosed() {
		return Transient(err)
	}
	return err
}
