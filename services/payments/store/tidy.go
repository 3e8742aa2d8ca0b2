package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/logs"
	"souk/internal/postgres"
)

const (
	tidyEvery = time.Hour
	// keepNotices is longer than any provider sends a notice again.
	keepNotices = "30 days"
)

// Tidy deletes what is not needed any more, now and then, until ctx ends.
func (s *Store) Tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		keys, err := postgres.ForgetIdempotencyKeys(ctx, s.pool)
		var notices int64
		if err == nil {
			notices, err = s.forgetNotices(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("idempotency keys and notices that have run out stay for now", logs.Err(err))
		case keys+notices > 0:
			continue // there may be more
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Store) forgetNotices(ctx context.Context) (deleted int64, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM provider_notices WHERE (provider, id) IN (SELECT provider, id FROM provider_notices
			WHERE received_at < now() - interval '`+keepNotices+`' LIMIT 1000 FOR UPDATE SKIP LOCKED)`)
		deleted = tag.RowsAffected()
		return err
	})
	return deleted, err
}
