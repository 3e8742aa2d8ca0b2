package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/postgres"
)

// replayInterval is between looks for keys that an operator wants replayed.
const replayInterval = time.Second

// replayParked hands the events of such keys over, in their order, until ctx ends. All
// instances do, each with keys of its own at a time. What arrives of a key meanwhile is
// parked behind; when nothing is left the key is released, and only then goes the next
// of its events straight to the handler.
func (c *consumer) replayParked(ctx context.Context) {
	pause := c.pause()
	for {
		worked, err := c.replayOne(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			c.Log.Warn("A parked event could not be replayed; it is tried again", "error.message", err.Error())
			sleep(ctx, nil, pause.NextBackOff())
		case worked:
			pause.Reset()
		default:
			sleep(ctx, nil, replayInterval)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// parkedRow is a row of inbox_parked.
type parkedRow struct {
	id    int64
	key   []byte // that it is parked under
	event []byte
	events.Record
}

// replayOne replays the first event of some key. If that fails as it would be parked
// for, the key waits for the operator again.
func (c *consumer) replayOne(ctx context.Context) (worked bool, err error) {
	var row parkedRow
	var failure error // the handler's
	complete := false // all but the commit
	var message events.Message
	err = postgres.Tx(ctx, c.pool, func(tx pgx.Tx) error {
		worked, failure, complete = false, nil, false
		var err error
		if row, err = c.nextToReplay(ctx, tx); err != nil {
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		}
		worked = true
		// In a savepoint: the lock of the key stays until its failure is noted, so nobody tries again meanwhile.
		attempt, err := tx.Begin(ctx)
		if err != nil {
			return err
		}
		if message, failure = c.replay(ctx, attempt, row.Record); failure != nil {
			if err := attempt.Rollback(ctx); err != nil || judge(failure) == transient {
				return failure
			}
			return c.noteFailure(ctx, tx, row, failure)
		}
		if err := attempt.Commit(ctx); err != nil {
			return err
		}
		if err := takeOut(ctx, tx, c.Group, row.Topic, row.key, row.event, row.id); err != nil {
			return err
		}
		complete = true
		return nil
	})
	switch {
	case err == nil && failure != nil:
		c.refused(row, failure)
		return true, nil
	case err == nil && worked:
		c.Committed([]events.Message{message})
		c.metrics.replayed.WithLabelValues(row.Topic).Inc()
		c.Log.Info("A parked event was replayed", append(whereabouts(row.Record), "event.action", "event-replayed")...)
		return true, nil
	case err == nil, ctx.Err() != nil, judge(err) == transient, failure == nil && !complete:
		return worked, err
	}
	return c.refuse(ctx, row, err)
}

// nextToReplay locks a key that waits for its replay and gives its first event. The
// lock lets others park behind meanwhile: their foreign key asks for no more than
// FOR KEY SHARE. The event is read by a statement of its own, which sees what the lock's
// last holder has done.
func (c *consumer) nextToReplay(ctx context.Context, tx pgx.Tx) (row parkedRow, err error) {
	err = tx.QueryRow(ctx, `SELECT topic, key FROM inbox_parked_keys
		WHERE consumer = $1 AND replaying AND topic = ANY($2) ORDER BY since LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED`, c.Group, c.Topics).
		Scan(&row.Topic, &row.key)
	if err != nil {
		return row, err
	}
	var headers [][]byte
	err = tx.QueryRow(ctx, `SELECT id, partition, "offset", event, headers, record_key, value FROM inbox_parked
		WHERE consumer = $1 AND topic = $2 AND key = $3 ORDER BY id LIMIT 1`, c.Group, row.Topic, row.key).
		Scan(&row.id, &row.Partition, &row.Offset, &row.event, &headers, &row.Key, &row.Value)
	if err != nil {
		return row, fmt.Errorf("read the first event of a parked key: %w", err)
	}
	row.Headers, err = events.Headers(headers)
	return row, err
}

func (c *consumer) replay(ctx context.Context, tx pgx.Tx, r events.Record) (events.Message, error) {
	m, err := r.Decode()
	if err != nil {
		return m, Poison(err)
	}
	ctx, cancel := context.WithTimeout(Traced(ctx, m), c.Timeout)
	defer cancel()
	return m, c.handle(ctx, tx, []events.Message{m})
}

// takeOut ends the parking of a settled event, and of the key with the last of its events.
func takeOut(ctx context.Context, tx pgx.Tx, group, topic string, key, event []byte, id int64) error {
	tag, err := tx.Exec(ctx, `DELETE FROM inbox_parked WHERE id = $1`, id)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("the parked event %d is gone although its key was locked", id)
	}
	// From now on it is remembered like any other.
	if _, err := tx.Exec(ctx, `UPDATE inbox SET parked = false, settled_at = now() WHERE consumer = $1 AND event = $2`, group, event); err != nil {
		return err
	}
	// One that is being parked behind right now makes this wait and then fail on the foreign key: the next attempt sees it.
	_, err = tx.Exec(ctx, `DELETE FROM inbox_parked_keys k WHERE consumer = $1 AND topic = $2 AND key = $3
		AND NOT EXISTS (SELECT FROM inbox_parked p WHERE p.consumer = k.consumer AND p.topic = k.topic AND p.key = k.key)`, group, topic, key)
	return err
}

// refuse is for an event that failed with the commit: nothing is left of its transaction.
func (c *consumer) refuse(ctx context.Context, row parkedRow, cause error) (bool, error) {
	if err := postgres.Tx(ctx, c.pool, func(tx pgx.Tx) error { return c.noteFailure(ctx, tx, row, cause) }); err != nil {
		return false, fmt.Errorf("note that a replay failed (%w): %w", cause, err)
	}
	c.refused(row, cause)
	return true, nil
}

// noteFailure gives the key back to the operator.
func (c *consumer) noteFailure(ctx context.Context, tx pgx.Tx, row parkedRow, cause error) error {
	tag, err := tx.Exec(ctx, `UPDATE inbox_parked SET error = $2, attempts = attempts + 1 WHERE id = $1`, row.id, oneLine(cause))
	if err != nil || tag.RowsAffected() == 0 { // none: somebody else has settled it
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE inbox_parked_keys SET replaying = false, error = $4 WHERE consumer = $1 AND topic = $2 AND key = $3`,
		c.Group, row.Topic, row.key, oneLine(cause))
	return err
}

func (c *consumer) refused(row parkedRow, cause error) {
	c.metrics.failures.WithLabelValues(row.Topic, judge(cause).String()).Inc()
	c.Log.Error("A parked event could not be handled at its replay either", append(whereabouts(row.Record),
		"event.action", "replay-failed", "error.message", oneLine(cause))...)
}
