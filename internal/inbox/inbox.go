// Package inbox consumes events for a service whose database is PostgreSQL, so that
// each takes effect exactly once: the note that an event is done and its effect are
// one transaction, and the offset is stored after that. Whatever is delivered again
// (a crash before the offset was stored, a rebalance, an outbox that published twice)
// meets the note and does nothing.
//
// Order. The events of a partition are handled one after the other; partitions side by
// side. An event that can't be handled doesn't hold up its partition: it is parked,
// and so is whatever follows of its key, until an operator replays the key (replay.go)
// or drops the event. Events without a key have no order, and each is parked alone.
//
// Two members that take the same partition for theirs, as one that was suspended does,
// do no harm: each event's note is a unique row, so the second waits for the first and
// then passes over, and nobody comes to an event before its predecessor is settled.
package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/logs"
	"souk/internal/postgres"
)

type consumer struct {
	Options
	pool    *postgres.Pool
	dead    *deadLetters
	metrics *metrics
}

// outcome of an attempt that did not fail.
type outcome uint8

const (
	handled   outcome = iota
	duplicate         // done or parked before
	behind            // its key is parked; nothing was done
)

// attempt hands an event over, once.
func (c *consumer) attempt(ctx context.Context, r events.Record) (result outcome, err error) {
	m, err := r.Decode()
	if err != nil {
		return 0, Poison(err)
	}
	ctx, cancel := context.WithTimeout(traced(ctx, m), c.Timeout)
	defer cancel()
	begun := false
	err = postgres.Tx(ctx, c.pool, func(tx pgx.Tx) error {
		begun = false
		var fresh, parked bool
		err := tx.QueryRow(ctx, `WITH claim AS (INSERT INTO inbox (consumer, event) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1)
			SELECT EXISTS (SELECT FROM claim), EXISTS (SELECT FROM inbox_parked_keys WHERE consumer = $1 AND topic = $3 AND key = $4)`,
			c.Group, identity(r), r.Topic, parkedKey(r)).Scan(&fresh, &parked)
		switch {
		case err != nil:
			return fmt.Errorf("inbox: claim the event: %w", err)
		case !fresh:
			result = duplicate
			return nil
		case parked:
			result = behind
			return errBehind
		}
		result, begun = handled, true
		return c.handle(ctx, tx, m)
	})
	switch {
	case errors.Is(err, errBehind):
		return behind, nil
	case err != nil && !begun:
		return 0, Transient(err) // not the handler's, so not the event's fault
	}
	return result, err
}

// errBehind undoes the claim of an event whose key is parked.
var errBehind = errors.New("the event's key is parked")

// handle calls Handle and turns its panic into poison. What fails while the connection
// goes is not the event's fault.
func (c *consumer) handle(ctx context.Context, tx pgx.Tx, m events.Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.Log.ErrorContext(ctx, "A handler of events panicked", "error.message", fmt.Sprint(v), "error.stack_trace", string(debug.Stack()))
			err = Poison(panicked{v})
		}
	}()
	if err = c.Handle(ctx, tx, m); err != nil && judge(err) == counted && tx.Conn().IsClosed() {
		return Transient(err)
	}
	return err
}

// traced makes what the handler logs and publishes part of the event's trace.
func traced(ctx context.Context, m events.Message) context.Context {
	t, has := logs.ParseTraceparent(m.Traceparent)
	if !has {
		t = logs.NewTrace()
	}
	return logs.WithTrace(ctx, t.Child())
}

// identity is the event's for the inbox: of its source and id, which CloudEvents 1.0
// says are unique together, or of where it lies if it is no CloudEvent.
func identity(r events.Record) []byte {
	parts := []string{"record", r.Topic, fmt.Sprint(r.Partition), fmt.Sprint(r.Offset)}
	if m, err := r.Decode(); err == nil {
		parts = []string{"event", m.Event.Source(), m.Event.ID()}
	}
	h := sha256.New()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// parkedKey is what an event is parked under: its key, or its place if it has none.
func parkedKey(r events.Record) []byte {
	if len(r.Key) > 0 {
		return r.Key
	}
	return fmt.Appendf(nil, "\x00%d/%d", r.Partition, r.Offset)
}
