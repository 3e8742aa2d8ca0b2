package store

import (
	"context"
	"time"

	"souk/internal/logs"
	"souk/internal/postgres"
)

// tidyEvery is how often idempotency keys that have run out are deleted.
const tidyEvery = time.Hour

// Tidy deletes what is not needed any more, now and then, until ctx ends. Reservations and adjustments are kept: orders and
// the books refer to them.
func (s *Store) Tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		deleted, err := postgres.ForgetIdempotencyKeys(ctx, s.pool)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("idempotency keys that have run out stay for now", logs.Err(err))
		case deleted > 0:
			continue // there may be more
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
