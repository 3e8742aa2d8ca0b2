package inbox

import (
	"context"
	"time"

	"souk/internal/postgres"
)

// Forget is one round of forgetting.
func Forget(ctx context.Context, pool *postgres.Pool, group string, remember time.Duration) (int64, error) {
	c := &consumer{Options: Options{Group: group, Remember: remember}, pool: pool}
	return c.forget(ctx)
}
