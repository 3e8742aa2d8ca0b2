package events

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"

	kafka "souk/internal/events"
	"souk/internal/inbox"
	"souk/services/payments/app"
)

// Store is where commands take effect, in the transaction of the inbox.
type Store interface {
	ChangeIn(ctx context.Context, tx pgx.Tx, s app.Selection, move func(*app.Set) error) (*app.Set, error)
}

// Commands handles batches of commands: what each begins is stored in one transaction, and handed to the worker as
// soon as that is committed.
type Commands struct {
	store    Store
	provider func() string // the one for new payments
	submit   func([]app.Operation)

	mu    sync.Mutex
	begun map[string]stored // by the id of a batch's first event
}

// stored is what a batch has begun, if its transaction is committed.
type stored struct {
	events     int
	operations []app.Operation
}

// NewCommands makes a handler; submit is the worker's.
func NewCommands(store Store, provider func() string, submit func([]app.Operation)) *Commands {
	return &Commands{store: store, provider: provider, submit: submit, begun: map[string]stored{}}
}

// HandleAll is inbox.Options.HandleAll.
func (h *Commands) HandleAll(ctx context.Context, tx pgx.Tx, ms []kafka.Message) error {
	commands := make([]app.Command, 0, len(ms))
	for _, m := range ms {
		c, is, err := parse(m)
		if err != nil {
			return inbox.Poison(err)
		}
		if is {
			commands = append(commands, c)
		}
	}
	if len(commands) == 0 {
		return nil
	}
	set, err := h.store.ChangeIn(ctx, tx, app.Select(commands), func(s *app.Set) error { return s.Obey(commands, h.provider()) })
	switch {
	case errors.Is(err, app.ErrContradiction):
		return inbox.Poison(err)
	case err != nil:
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.begun) >= maxBegun {
		clear(h.begun) // of transactions that were never committed; what was is claimed when its lease is over
	}
	h.begun[ms[0].Event.ID()] = stored{len(ms), set.Operations()}
	return nil
}

// maxBegun is more than there can be batches under way.
const maxBegun = 1000

// Committed is inbox.Options.Committed: the batch that HandleAll had is stored.
func (h *Commands) Committed(ms []kafka.Message) {
	first := ms[0].Event.ID()
	h.mu.Lock()
	begun := h.begun[first]
	delete(h.begun, first)
	h.mu.Unlock()
	if begun.events == len(ms) { // else it is what is left of another batch that was not committed
		h.submit(begun.operations)
	}
}
