package store

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/orders/app"
)

// InsertOrder implements app.OrderStore. All of it is one batch of statements, sent in the hope that the key is new and
// the cart as it was; if not, what came after is undone.
func (s *Store) InsertOrder(ctx context.Context, once app.Once, o *app.Order, cart app.Cart, address *app.Address, answer app.Answer) (*app.Answer, error) {
	row, err := rowOf(o)
	if err != nil {
		return nil, err
	}
	earlier := postgres.Reply{}
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		if err := key(once).QueueBegin(b, &earlier); err != nil {
			return err
		}
		queueMarkOrdered(b, cart, o.ID)
		if err := queueEvents(b, o); err != nil {
			return err
		}
		b.Queue(insertOrderSQL, row...)
		if address != nil {
			text, err := json.Marshal(address)
			if err != nil {
				return err
			}
			b.Queue(`INSERT INTO order_addresses (order_id, address) VALUES ($1, $2)`, o.ID, text)
		}
		key(once).QueueFinish(b, replyOf(answer))
		if err := queueMessages(ctx, b, o); err != nil {
			return err
		}
		return tx.SendBatch(ctx, b).Close()
	})
	if errors.Is(err, postgres.ErrAnswered) {
		replay := answerOf(earlier)
		return &replay, nil
	}
	return nil, err
}

// numbersAtOnce is how many order numbers an instance takes from the sequence. Those that it does not come to use are never
// used: numbers are unique, not without gaps.
const numbersAtOnce = 50

// NextNumber implements app.OrderStore.
func (s *Store) NextNumber(ctx context.Context) (int64, error) {
	select {
	case n := <-s.numbers:
		return n, nil
	default:
	}
	var taken []int64
	err := postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, `SELECT nextval('order_numbers') FROM generate_series(1, $1::int)`, numbersAtOnce)
		if err != nil {
			return err
		}
		taken, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, n := range taken[1:] {
		select {
		case s.numbers <- n:
		default: // another request took some at the same time
		}
	}
	return taken[0], nil
}
