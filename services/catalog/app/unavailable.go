package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"souk/internal/errs"
)

// waitingCount remembers for a second how many products wait to be published, so that
// counting costs a write nothing.
type waitingCount struct {
	mu    sync.Mutex
	count int
	at    time.Time
}

const countAge = time.Second

// checkWaiting refuses a write while too many products have events that Kafka has not
// taken: they would fill the database.
func (c *Catalog) checkWaiting(ctx context.Context) error {
	most := c.settings().PendingProducts
	w := &c.waiting
	w.mu.Lock()
	count, fresh := w.count, time.Since(w.at) < countAge
	w.mu.Unlock()
	if !fresh {
		var err error
		began := time.Now()
		if count, err = c.store.Waiting(ctx, most); err != nil {
			return err
		}
		w.mu.Lock()
		w.count, w.at = count, began
		w.mu.Unlock()
	}
	if count >= most {
		return OutboxFull()
	}
	return nil
}

// Away is the answer while the database does not answer.
func Away() *errs.Error {
	return errs.New(errs.Unavailable, "database-unavailable", "the catalogue's database does not answer; try again").After(2 * time.Second)
}

// tooLate is why a request whose time is over failed: what takes long is the database.
func tooLate(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Away().Because(ctx.Err())
	}
	return ctx.Err()
}

// OutboxFull is the answer to a write while too many events wait for Kafka.
func OutboxFull() error {
	return errs.New(errs.Unavailable, "outbox-full", "too many changes wait to be published, as the event log does not answer; try again later").
		After(5 * time.Second)
}
