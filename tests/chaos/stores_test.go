package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// databases are those of the services that an order passes through, and of the one that only hears of it.
var databases = []string{"orders", "inventory", "payments", "notifications"}

// open is how many orders of the goods have not ended, or not settled.
func (s *stack) open(ctx context.Context, g goods) (n int, err error) {
	err = s.with(ctx, "orders", func(db *pgx.Conn) error {
		return db.QueryRow(ctx, `SELECT count(*) FROM orders WHERE NOT settled AND lines::text LIKE '%' || $1 || '%'`, g.sku).Scan(&n)
	})
	return n, err
}

// read looks into every store.
func (s *stack) read(ctx context.Context, g goods, initial int64) (*books, error) {
	b := &books{initial: initial, price: g.price, reservations: map[uuid.UUID]reservation{}}
	ids := []uuid.UUID{}
	for _, step := range []struct {
		service string
		read    func(*pgx.Conn) error
	}{
		{"orders", func(db *pgx.Conn) (err error) {
			b.orders, err = readOrders(ctx, db, g)
			for _, o := range b.orders {
				ids = append(ids, o.id)
			}
			return err
		}},
		{"inventory", func(db *pgx.Conn) error { return readStock(ctx, db, g, b) }},
		{"payments", func(db *pgx.Conn) error { return readPayments(ctx, db, ids, b) }},
	} {
		if err := s.with(ctx, step.service, step.read); err != nil {
			return nil, err
		}
	}
	for _, service := range databases {
		err := s.with(ctx, service, func(db *pgx.Conn) error {
			waiting, err := waits(ctx, db)
			for _, w := range waiting {
				b.waiting = append(b.waiting, service+": "+w)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

func readOrders(ctx context.Context, db *pgx.Conn, g goods) ([]order, error) {
	rows, err := db.Query(ctx, `SELECT o.id, (e.data->>'cart_id')::uuid, o.user_id, o.status, o.reason, o.settled,
			(SELECT sum((l->>'quantity')::bigint)::bigint FROM json_array_elements(o.lines) l), o.total, o.captured, o.refunded, o.placed_at, o.updated_at
		FROM orders o JOIN order_events e ON e.stream_id = o.id AND e.version = 1
		WHERE o.lines::jsonb @> jsonb_build_array(jsonb_build_object('sku', $1::text))`, g.sku)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (o order, err error) {
		err = r.Scan(&o.id, &o.cart, &o.user, &o.status, &o.reason, &o.settled, &o.pieces, &o.total, &o.captured, &o.refunded, &o.placed, &o.changed)
		return o, err
	})
}

func readStock(ctx context.Context, db *pgx.Conn, g goods, b *books) error {
	err := db.QueryRow(ctx, `SELECT sum(available)::bigint, sum(reserved)::bigint, sum(sold)::bigint, min(least(available, reserved, sold)) FROM stock WHERE sku = $1`, g.sku).
		Scan(&b.stock.available, &b.stock.reserved, &b.stock.sold, &b.stock.lowest)
	if err != nil {
		return err
	}
	rows, err := db.Query(ctx, `SELECT order_id, state, (SELECT coalesce(sum((l->>'quantity')::bigint), 0)::bigint FROM jsonb_array_elements(lines) l)
		FROM reservations WHERE lines @> jsonb_build_array(jsonb_build_object('sku', $1::text))`, g.sku)
	if err != nil {
		return err
	}
	var id uuid.UUID
	var r reservation
	_, err = pgx.ForEachRow(rows, []any{&id, &r.state, &r.pieces}, func() error {
		b.reservations[id] = r
		return nil
	})
	return err
}

func readPayments(ctx context.Context, db *pgx.Conn, orders []uuid.UUID, b *books) error {
	rows, err := db.Query(ctx, `SELECT i.id, i.order_id, i.status, i.captured, i.refunded,
			coalesce(sum(l.amount) FILTER (WHERE l.kind = 'capture'), 0)::bigint, coalesce(sum(l.amount) FILTER (WHERE l.kind = 'refund'), 0)::bigint
		FROM intents i LEFT JOIN ledger l ON l.intent_id = i.id WHERE i.order_id = ANY($1) GROUP BY i.id`, orders)
	if err != nil {
		return err
	}
	b.payments, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (p payment, err error) {
		err = r.Scan(&p.intent, &p.order, &p.status, &p.captured, &p.refunded, &p.ledgerCaptured, &p.ledgerOut)
		return p, err
	})
	if err != nil {
		return err
	}
	// Also what the bank did for nobody that payments knows.
	rows, err = db.Query(ctx, `SELECT s.payment, s.outcome, s.amount FROM sandbox_entries s LEFT JOIN intents i ON i.id = s.payment
		WHERE (i.id IS NULL OR i.order_id = ANY($1)) AND s.outcome IN ('authorised', 'captured', 'voided', 'refunded')`, orders)
	if err != nil {
		return err
	}
	b.charges, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (c charge, err error) {
		err = r.Scan(&c.intent, &c.kind, &c.amount)
		return c, err
	})
	if err != nil {
		return err
	}
	return db.QueryRow(ctx, `SELECT coalesce(sum(amount), 0)::bigint FROM ledger_entries`).Scan(&b.ledgerSum)
}

// waits lists the tables of work to do that are not empty.
func waits(ctx context.Context, db *pgx.Conn) (all []string, err error) {
	for _, table := range []string{"outbox", "inbox_parked", "operations"} {
		var exists bool
		if err := db.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&exists); err != nil {
			return nil, err
		}
		if !exists {
			continue
		}
		var n int
		if err := db.QueryRow(ctx, `SELECT count(*) FROM `+pgx.Identifier{table}.Sanitize()).Scan(&n); err != nil {
			return nil, err
		}
		if n > 0 {
			all = append(all, fmt.Sprintf("%d rows in %s", n, table))
		}
	}
	return all, nil
}

// beside are tables of which a replayed event may leave a trace: the notes that it came, and answers that go out again.
var beside = []string{"inbox", "outbox", "outbox_state", "idempotency_keys", "goose_db_version", "order_rebuilds", "provider_notices", "operations"}

// hashes is the state of each database, table by table.
func (s *stack) hashes(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	for _, service := range databases {
		err := s.with(ctx, service, func(db *pgx.Conn) error {
			rows, err := db.Query(ctx, `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`)
			if err != nil {
				return err
			}
			tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			for _, table := range tables {
				if slices.Contains(beside, table) || strings.HasSuffix(table, "_db_version") {
					continue
				}
				var hash string
				err := db.QueryRow(ctx, `SELECT count(*) || ' rows ' || coalesce(md5(string_agg(h, '' ORDER BY h)), '') FROM (SELECT md5(t::text) AS h FROM `+pgx.Identifier{table}.Sanitize()+` t) rows`).Scan(&hash)
				if err != nil {
					return err
				}
				all[service+"."+table] = hash
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// changed lists the tables whose state differs.
func changed(before, after map[string]string) (all []string) {
	for table, hash := range after {
		if before[table] != hash {
			all = append(all, fmt.Sprintf("%s: %s, then %s", table, before[table], hash))
		}
	}
	slices.Sort(all)
	return all
}

// drain waits until every order of the goods has ended and settled, and nothing waits to be published.
func (s *stack) drain(ctx context.Context, g goods) error {
	for {
		n, err := s.open(ctx, g)
		if err == nil && n == 0 {
			var waiting []string
			for _, service := range []string{"orders", "inventory", "payments"} {
				err = s.with(ctx, service, func(db *pgx.Conn) error {
					w, err := waits(ctx, db)
					waiting = append(waiting, w...)
					return err
				})
				if err != nil {
					break
				}
			}
			if err == nil && len(waiting) == 0 {
				return nil
			}
		}
		if !pause(ctx, 300*time.Millisecond) {
			return fmt.Errorf("%d orders are open: %w", n, ctx.Err())
		}
	}
}
