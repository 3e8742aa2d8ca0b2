// Package events consumes what catalog, users, inventory and payments publish. What orders publishes is app.Message; the
// store appends it to the outbox.
package events

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	kafka "souk/internal/events"
	"souk/internal/inbox"
	"souk/services/orders/app"
)

// Group is the consumer group of the saga, and of what else concerns orders.
const Group = "orders"

// Topics of Group, beside UsersTopic.
const (
	InventoryTopic = "inventory.events.v1"
	PaymentsTopic  = "payments.events.v1"
)

// Store is where events take effect, in the transaction of the inbox.
type Store interface {
	HandleReplies(ctx context.Context, tx pgx.Tx, replies []app.Reply, d app.Deadlines) error
	EraseUser(ctx context.Context, tx pgx.Tx, user uuid.UUID) error
}

// Topics are all that Group consumes.
func Topics() []string { return []string{InventoryTopic, PaymentsTopic, UsersTopic} }

// Handler is inbox.Options.HandleAll of Group. deadlines is asked on each use.
func Handler(store Store, deadlines func() app.Deadlines) func(context.Context, pgx.Tx, []kafka.Message) error {
	return func(ctx context.Context, tx pgx.Tx, ms []kafka.Message) error {
		var replies []app.Reply
		for _, m := range ms {
			user, erased, err := UserErased(m)
			if err != nil {
				return inbox.Poison(err)
			}
			if erased {
				if err := store.EraseUser(ctx, tx, user); err != nil {
					return err
				}
				continue
			}
			r, ok, err := readReply(m)
			if err != nil {
				return inbox.Poison(err)
			}
			if ok {
				replies = append(replies, r)
			}
		}
		if len(replies) == 0 {
			return nil
		}
		err := store.HandleReplies(ctx, tx, replies, deadlines())
		if errors.Is(err, app.ErrImpossibleReply) {
			err = inbox.Poison(err)
		}
		return err
	}
}
