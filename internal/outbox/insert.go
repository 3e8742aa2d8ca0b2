package outbox

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"souk/internal/errs"
	"souk/internal/events"
)

// rowsAtOnce bounds what one statement inserts: PostgreSQL walks through all headers
// before a row's own to find them.
const rowsAtOnce = 50

// rows to insert with one statement, column by column. Their headers, of which not all
// have as many, are in one array: a row's are those from first to last, counted from 1.
type rows struct {
	topics, keys []string
	values       [][]byte
	headers      [][]byte
	first, last  []int32
}

func (r *rows) add(record events.Record) {
	r.topics, r.keys, r.values = append(r.topics, record.Topic), append(r.keys, string(record.Key)), append(r.values, record.Value)
	r.first = append(r.first, int32(len(r.headers)+1)) //nolint:gosec // a few thousand at most
	r.headers = append(r.headers, record.FlatHeaders()...)
	r.last = append(r.last, int32(len(r.headers))) //nolint:gosec // as above
}

const insert = `INSERT INTO outbox (topic, key, headers, value)
	SELECT topic, key, ($3::bytea[])[first:last], value
	FROM unnest($1::text[], $2::text[], $4::bytea[], $5::int[], $6::int[]) WITH ORDINALITY AS new (topic, key, value, first, last, n)
	WHERE NOT EXISTS (SELECT FROM outbox_state WHERE full_up) ORDER BY n`

func (r *rows) queue(batch *pgx.Batch) {
	if len(r.topics) == 0 {
		return
	}
	batch.Queue(insert, r.topics, r.keys, r.headers, r.values, r.first, r.last).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return errs.New(errs.Unavailable, "events-backlog", "too many changes wait to be made known; try again later").After(5 * time.Second)
		}
		return nil
	})
}
