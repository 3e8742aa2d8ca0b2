package inbox

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
)

// errReleased says that the key is not parked any more.
var errReleased = errors.New("the key is no longer parked")

// park puts an event away: because of cause, or behind its key's earlier ones if cause
// is nil. What counts is the row in the database, which replay works from; the copy on
// the dead letter topic is written before it, so that none is missing there, and may
// be there twice. It tries for as long as it takes. errReleased: there is nothing to
// be behind of.
func (c *consumer) park(ctx context.Context, stop <-chan struct{}, d delivery, cause error, attempts int) error {
	pause := c.pause()
	for published := false; ; {
		var err error
		if !published {
			err = c.dead.publish(ctx, d.Record, cause, attempts)
			published = err == nil
		}
		if err == nil {
			err = c.store(ctx, d, cause, attempts)
		}
		switch {
		case err == nil:
			c.metrics.parked.WithLabelValues(d.Topic, reason(cause)).Inc()
			if cause != nil {
				c.Log.Error("An event could not be handled and is parked, and so is what follows of its key", append(whereabouts(d.Record),
					"event.action", "event-parked", "error.message", oneLine(cause))...)
			}
			return nil
		case ctx.Err() != nil:
			return errStopped
		case cause == nil && postgres.Violates(err, "inbox_parked_key_fkey"):
			return errReleased
		}
		wait := pause.NextBackOff()
		c.Log.Warn("An event could not be parked; its partition waits", append(whereabouts(d.Record), "error.message", err.Error(), "event.duration", wait.Nanoseconds())...)
		if !sleep(ctx, stop, wait) {
			return errStopped
		}
	}
}

// store notes the event as parked, unless it has been settled meanwhile.
func (c *consumer) store(ctx context.Context, d delivery, cause error, attempts int) error {
	return postgres.Tx(ctx, c.pool, func(tx pgx.Tx) error {
		event, key := []byte(d.event), []byte(d.key)
		tag, err := tx.Exec(ctx, `INSERT INTO inbox (consumer, event, parked) VALUES ($1, $2, true) ON CONFLICT DO NOTHING`, c.Group, event)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if cause != nil {
			_, err := tx.Exec(ctx, `INSERT INTO inbox_parked_keys (consumer, topic, key, error) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
				c.Group, d.Topic, key, oneLine(cause))
			if err != nil {
				return err
			}
		}
		value := d.Value
		if value == nil {
			value = []byte{}
		}
		_, err = tx.Exec(ctx, `INSERT INTO inbox_parked (consumer, topic, key, partition, "offset", event, headers, record_key, value, error, attempts)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			c.Group, d.Topic, key, d.Partition, d.Offset, event, d.FlatHeaders(), d.Key, value, oneLine(cause), attempts)
		return err
	})
}

// reason that a record is parked for.
func reason(cause error) string {
	if cause == nil {
		return "behind"
	}
	return judgeParked(cause)
}

func judgeParked(cause error) string {
	if judge(cause) == poison {
		return "poison"
	}
	return "attempts"
}

// oneLine is an error as it may be stored: UTF-8 without NUL, at most 1 KiB; "" for nil.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", ""), "?")), " ")
	if text == "" {
		text = fmt.Sprintf("%T", err)
	}
	if len(text) > 1024 {
		text = strings.ToValidUTF8(text[:1024], "")
	}
	return text
}
