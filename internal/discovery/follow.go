package discovery

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/time/rate"
)

// Follow makes blocking queries until ctx ends, as Consul's documentation of them wants
// it: bounded in rate, and from the start when the index goes backwards or after an
// error (an index from before a lost state would block for nothing).
//
// ask makes one query from an index on, 0 for one that answers at once, and returns the
// index of the answer. failed hears of each error, unless ctx has ended.
func Follow(ctx context.Context, index uint64, ask func(ctx context.Context, index uint64) (uint64, error), failed func(error)) {
	limit := rate.NewLimiter(rate.Every(250*time.Millisecond), 8)
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for limit.Wait(ctx) == nil {
		next, err := ask(ctx, index)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if next < index {
				index = 0
			} else {
				index = max(next, 1) // 0 would not block
			}
			pause.Reset()
			continue
		}
		index = 0
		failed(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause.NextBackOff()):
		}
	}
}
