package store

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/orders/app"
)

const withAddress = "SELECT " + orderColumns + ", a.address FROM orders o LEFT JOIN order_addresses a ON a.order_id = o.id "

type orderAndAddress struct {
	*app.Order
	address *app.Address
}

func scanWithAddress(row pgx.CollectableRow) (o orderAndAddress, err error) {
	var text []byte
	if o.Order, err = scanOrder(row, &text); err != nil || text == nil {
		return o, err
	}
	return o, json.Unmarshal(text, &o.address)
}

// Order implements app.OrderStore.
func (s *Store) Order(ctx context.Context, id uuid.UUID) (order *app.Order, address *app.Address, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		order, address, err = readOrder(ctx, q, withAddress+"WHERE o.id = $1", id)
		return err
	})
	return order, address, err
}

// readOrder is the one that the query finds, or app.ErrOrderNotFound.
func readOrder(ctx context.Context, q postgres.Querier, sql string, id uuid.UUID) (*app.Order, *app.Address, error) {
	rows, err := q.Query(ctx, sql, id)
	if err != nil {
		return nil, nil, err
	}
	o, err := pgx.CollectExactlyOneRow(rows, scanWithAddress)
	if errors.Is(err, pgx.ErrNoRows) {
		err = app.ErrOrderNotFound
	}
	return o.Order, o.address, err
}

// Orders implements app.OrderStore.
func (s *Store) Orders(ctx context.Context, f app.OrderFilter) (views []app.OrderView, err error) {
	if f.Before == uuid.Nil {
		f.Before = uuid.Max
	}
	args := []any{f.Before, f.Limit}
	sql := withAddress + "WHERE o.id < $1"
	if f.User != uuid.Nil {
		args = append(args, f.User)
		sql += " AND o.user_id = $3"
	}
	if f.Status != "" {
		args = append(args, string(f.Status))
		sql += " AND o.status = $" + string(rune('0'+len(args)))
	}
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, sql+" ORDER BY o.id DESC LIMIT $2", args...)
		if err != nil {
			return err
		}
		views, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (app.OrderView, error) {
			o, err := scanWithAddress(row)
			if err != nil {
				return app.OrderView{}, err
			}
			return o.View(o.address), nil
		})
		return err
	})
	return views, err
}

// ChangeOrder implements app.OrderStore.
func (s *Store) ChangeOrder(ctx context.Context, id uuid.UUID, change func(*app.Order) error) (order *app.Order, address *app.Address, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		if order, address, err = readOrder(ctx, tx, withAddress+"WHERE o.id = $1 FOR UPDATE OF o", id); err != nil {
			return err
		}
		if err := change(order); err != nil {
			return err
		}
		return save(ctx, tx, []*app.Order{order})
	})
	return order, address, err
}

// ChangeOrderOnce implements app.OrderStore.
func (s *Store) ChangeOrderOnce(ctx context.Context, once app.Once, id uuid.UUID, change func(*app.Order) (app.Answer, error)) (app.Answer, bool, error) {
	reply, replayed, err := key(once).Do(ctx, s.pool, func(tx pgx.Tx) (postgres.Reply, error) {
		order, _, err := readOrder(ctx, tx, withAddress+"WHERE o.id = $1 FOR UPDATE OF o", id)
		if err != nil {
			return postgres.Reply{}, err
		}
		answer, err := change(order)
		if err != nil {
			return postgres.Reply{}, err
		}
		return postgres.Reply{Status: http.StatusCreated, Body: answer.Body}, save(ctx, tx, []*app.Order{order})
	})
	return app.Answer{Body: reply.Body}, replayed, err
}

// History implements app.OrderStore.
func (s *Store) History(ctx context.Context, id uuid.UUID, after int64) (events []app.Event, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		events, err = history(ctx, q, "WHERE e.stream_id = $1 AND e.version > $2 ORDER BY e.version", id, after)
		return err
	})
	return events, err
}

// history collects the events that "SELECT … FROM order_events e" finds with the rest of the statement.
func history(ctx context.Context, q postgres.Querier, rest string, args ...any) ([]app.Event, error) {
	rows, err := q.Query(ctx, "SELECT e.stream_id, e.version, e.at, e.kind, e.data FROM order_events e "+rest, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e app.Event, err error) {
		var kind string
		var data []byte
		if err := row.Scan(&e.Order, &e.Version, &e.At, &kind, &data); err != nil {
			return e, err
		}
		e.At = e.At.UTC()
		e.Fact, err = app.DecodeFact(kind, data)
		return e, err
	})
}

// Reconciliation implements app.OrderStore.
func (s *Store) Reconciliation(ctx context.Context, after uuid.UUID, limit int) (accounts []app.Account, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		orders, err := ordersWhere(ctx, q, "WHERE o.id > $1 ORDER BY o.id LIMIT $2", after, limit)
		accounts = make([]app.Account, len(orders))
		for i, o := range orders {
			accounts[i] = o.Account()
		}
		return err
	})
	return accounts, err
}
