package inbox

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
)

const (
	forgetInterval = 10 * time.Minute
	forgetBatch    = 1000
)

// forgetOld deletes the notes of events that were done longer than Remember ago, until
// ctx ends. Those of parked events stay, whatever their age.
func (c *consumer) forgetOld(ctx context.Context) {
	// Instances that start together part.
	for sleep(ctx, nil, forgetInterval/2+rand.N(forgetInterval)) {
		for more := true; more; {
			n, err := c.forget(ctx)
			if err != nil && ctx.Err() == nil {
				c.Log.Warn("Old events could not be forgotten", "error.message", err.Error())
			}
			more = err == nil && n == forgetBatch
		}
	}
}

func (c *consumer) forget(ctx context.Context) (int64, error) {
	var n int64
	err := postgres.Tx(ctx, c.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM inbox WHERE ctid IN (SELECT ctid FROM inbox
			WHERE consumer = $1 AND NOT parked AND settled_at < now() - $2::interval
			ORDER BY settled_at LIMIT $3 FOR UPDATE SKIP LOCKED)`, c.Group, c.Remember, forgetBatch)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}
