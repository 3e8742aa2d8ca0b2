package inbox

import (
	"context"
	"time"

	"souk/internal/events"
	"souk/internal/postgres"
)

// Forget is one round of forgetting.
func Forget(ctx context.Context, pool *postgres.Pool, group string, remember time.Duration) (int64, error) {
	c := &consumer{Options: Options{Group: group, Remember: remember}, pool: pool}
	return c.forget(ctx)
}

// Identity is what an event is noted under.
func Identity(r events.Record) []byte { return []byte(delivered(r).event) }
