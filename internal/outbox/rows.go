package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/postgres"
)

// row of the table.
type row struct {
	id int64
	events.Record
}

// batchBytes bounds what one batch carries, in bytes, beyond its first event: less
// than the producer's own queue holds.
const batchBytes = 8 << 20

// pending reads the next batch, and says whether more may wait. Its size is summed up by
// the server, so that neither many events nor large ones take more memory here than
// batchBytes and one event.
func (r *relay) pending(ctx context.Context) (rows []row, full bool, err error) {
	err = postgres.Read(ctx, r.pool, func(q postgres.Querier) error {
		rows, full = rows[:0], false
		size := 0
		found, err := q.Query(ctx, `SELECT o.id, o.topic, o.key, o.headers, o.value
			FROM (SELECT id, sum(octet_length(value)) OVER (ORDER BY id) - octet_length(value) AS before
			      FROM (SELECT id, value FROM outbox ORDER BY id LIMIT $1) AS first) AS sized
			JOIN outbox o USING (id) WHERE before < $2 ORDER BY o.id`, r.Batch, batchBytes)
		if err != nil {
			return err
		}
		var headers [][]byte
		next := row{}
		_, err = pgx.ForEachRow(found, []any{&next.id, &next.Topic, &next.Key, &headers, &next.Value}, func() error {
			var err error
			next.Headers, err = events.Headers(headers)
			rows = append(rows, next)
			size += len(next.Value)
			full = len(rows) == r.Batch || size >= batchBytes
			next, headers = row{}, nil
			return err
		})
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("read the outbox: %w", err)
	}
	return rows, full, nil
}

func records(rows []row) []events.Record {
	all := make([]events.Record, len(rows))
	for i, r := range rows {
		all[i] = r.Record
	}
	return all
}

// vacuumEvery is after how many events that were taken out the table is cleaned: every look at it begins by passing over
// what they left, and autovacuum comes once a minute at best.
const vacuumEvery = 5000

// clean gives the places of rows that are gone to new ones. That it fails matters to nobody: autovacuum comes too.
func (r *relay) clean(ctx context.Context) {
	if _, err := r.pool.Exec(ctx, "VACUUM outbox"); err != nil && ctx.Err() == nil {
		r.Log.Debug("The outbox was not vacuumed", "error.message", err.Error())
	}
}

// takeOut insists: what was published must not be published over and over because the
// database takes no writes just now.
func (r *relay) takeOut(ctx context.Context, rows []row) error {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.id
	}
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.RetryNotify(func() error {
		return postgres.Tx(ctx, r.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM outbox WHERE id = ANY($1)`, ids)
			return err
		})
	}, backoff.WithContext(pause, ctx), func(err error, _ time.Duration) {
		r.Log.Warn("Published events could not be taken out of the outbox", "error.message", err.Error())
	})
}
