package inbox

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"souk/internal/errs"
	"souk/internal/events"
)

// DB is a database of a service, as an operator's tool or the service itself has it:
// *postgres.Pool, *pgx.Conn.
type DB interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Filter chooses parked keys; what is empty chooses all.
type Filter struct {
	Group string
	Topic string
	Key   string
}

const matches = `($1 = '' OR consumer = $1) AND ($2 = '' OR topic = $2) AND ($3::bytea = ''::bytea OR key = $3)`

func (f Filter) args() []any { return []any{f.Group, f.Topic, []byte(f.Key)} }

// ParkedKey is a key of a topic whose events a group does not handle for now.
type ParkedKey struct {
	Group     string    `json:"group"`
	Topic     string    `json:"topic"`
	Key       string    `json:"key"` // "\x00<partition>/<offset>" for an event that has none
	Events    int       `json:"events"`
	Since     time.Time `json:"since"`
	Error     string    `json:"error"` // why the first could not be handled
	Replaying bool      `json:"replaying"`
}

// ParkedEvent is one of its events.
type ParkedEvent struct {
	ID       int64     `json:"id"` // for Drop
	ParkedAt time.Time `json:"parked_at"`
	Error    string    `json:"error"` // empty: it only waits behind another
	Attempts int       `json:"attempts"`
	Record   events.Record
}

// maxListed bounds the answers of List and Show.
const maxListed = 1000

// List gives what is parked, the longest first, at most 1,000 keys.
func List(ctx context.Context, db DB, f Filter) (keys []ParkedKey, err error) {
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT consumer, topic, key, since, error, replaying,
			(SELECT count(*) FROM inbox_parked p WHERE p.consumer = k.consumer AND p.topic = k.topic AND p.key = k.key)
			FROM inbox_parked_keys k WHERE `+matches+` ORDER BY since, consumer, topic, key LIMIT $4`, append(f.args(), maxListed)...)
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k ParkedKey, err error) {
			var key []byte
			err = row.Scan(&k.Group, &k.Topic, &key, &k.Since, &k.Error, &k.Replaying, &k.Events)
			k.Key = string(key)
			return k, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list parked keys: %w", err)
	}
	return keys, nil
}

// Show gives the events of the parked keys that f chooses, those of a key in the order
// in which they will be handled, at most 1,000.
func Show(ctx context.Context, db DB, f Filter) (parked []ParkedEvent, err error) {
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, parked_at, error, attempts, topic, partition, "offset", headers, record_key, value
			FROM inbox_parked WHERE `+matches+` ORDER BY consumer, topic, key, id LIMIT $4`, append(f.args(), maxListed)...)
		if err != nil {
			return err
		}
		parked, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e ParkedEvent, err error) {
			var headers [][]byte
			r := &e.Record
			err = row.Scan(&e.ID, &e.ParkedAt, &e.Error, &e.Attempts, &r.Topic, &r.Partition, &r.Offset, &headers, &r.Key, &r.Value)
			if err == nil {
				r.Headers, err = events.Headers(headers)
			}
			return e, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("show parked events: %w", err)
	}
	return parked, nil
}

// Replay asks the consumers of the group to handle the parked events of the keys that f
// chooses, in their order, and returns how many keys that are. They begin within a
// second or two. A key is released when all of its events are done; when one fails
// again the key stays parked as it then is.
func Replay(ctx context.Context, db DB, f Filter) (keys int64, err error) {
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE inbox_parked_keys SET replaying = true WHERE `+matches, f.args()...)
		keys = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("replay parked keys: %w", err)
	}
	return keys, nil
}

// Drop gives up a parked event: it counts as done without having been handled. What is
// parked behind it stays so until Replay; a key that has no other is released.
// Errors: errs.NotFound "parked-event-not-found".
func Drop(ctx context.Context, db DB, id int64) error {
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		var group, topic string
		var key, event []byte
		err := tx.QueryRow(ctx, `SELECT consumer, topic, key, event FROM inbox_parked WHERE id = $1`, id).Scan(&group, &topic, &key, &event)
		if err == nil {
			// Waits for a replay of the key that is under way, which may be of this event.
			_, err = tx.Exec(ctx, `SELECT FROM inbox_parked_keys WHERE consumer = $1 AND topic = $2 AND key = $3 FOR NO KEY UPDATE`, group, topic, key)
		}
		if err == nil {
			err = tx.QueryRow(ctx, `SELECT id FROM inbox_parked WHERE id = $1`, id).Scan(&id)
		}
		if errors.Is(err, pgx.ErrNoRows) {
			return errs.New(errs.NotFound, "parked-event-not-found", "no parked event has the id %d; it may have been replayed", id)
		}
		if err != nil {
			return err
		}
		return takeOut(ctx, tx, group, topic, key, event, id)
	})
	if err != nil {
		return fmt.Errorf("drop a parked event: %w", err)
	}
	return nil
}

// Text is the record for people to read: headers, then the value, which is quoted if it
// could do anything to a terminal.
func (e ParkedEvent) Text() string {
	var b strings.Builder
	for _, h := range e.Record.Headers {
		fmt.Fprintf(&b, "%s: %q\n", h.Key, h.Value)
	}
	value := string(e.Record.Value)
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		value = strconv.Quote(value)
	}
	fmt.Fprintf(&b, "\n%s\n", value)
	return b.String()
}
