package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/inventory/app"
)

// Stock implements app.Store.
func (s *Store) Stock(ctx context.Context, skus []string) (stocks []app.Stock, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, `SELECT k.sku, coalesce(sum(s.available), 0)::bigint FROM skus k LEFT JOIN stock s USING (sku)
			WHERE k.sku = ANY($1) GROUP BY k.sku`, skus)
		if err != nil {
			return err
		}
		stocks, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (st app.Stock, err error) {
			err = row.Scan(&st.SKU, &st.Available)
			st.InStock = st.Available > 0
			return st, err
		})
		return err
	})
	return stocks, err
}

// Detail implements app.Store.
func (s *Store) Detail(ctx context.Context, sku string) (d app.Detail, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		d, err = detail(ctx, q, sku)
		return err
	})
	return d, err
}

func detail(ctx context.Context, q postgres.Querier, sku string) (app.Detail, error) {
	d := app.Detail{Stock: app.Stock{SKU: sku}, Locations: []app.Level{}}
	rows, err := q.Query(ctx, `SELECT k.low_stock_threshold, s.location, coalesce(s.available, 0), coalesce(s.reserved, 0), coalesce(s.sold, 0)
		FROM skus k LEFT JOIN stock s USING (sku) WHERE k.sku = $1 ORDER BY s.location`, sku)
	if err != nil {
		return d, err
	}
	var location *string
	var l app.Level
	tag, err := pgx.ForEachRow(rows, []any{&d.Threshold, &location, &l.Available, &l.Reserved, &l.Sold}, func() error {
		if location != nil {
			l.Location = *location
			d.Locations = append(d.Locations, l)
			d.Available += l.Available
		}
		return nil
	})
	if err == nil && tag.RowsAffected() == 0 {
		err = app.ErrUnknownSKU
	}
	d.InStock = d.Available > 0
	return d, err
}

// SetThreshold implements app.Store.
func (s *Store) SetThreshold(ctx context.Context, sku string, pieces int64) (d app.Detail, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		book, err := s.bookOfSKUs(ctx, tx, nil, []string{sku})
		if err != nil {
			return err
		}
		item, err := book.Item(sku)
		if err != nil {
			return err
		}
		item.Threshold = pieces
		if _, err := tx.Exec(ctx, "UPDATE skus SET low_stock_threshold = $2 WHERE sku = $1", sku, pieces); err != nil {
			return err
		}
		if err := s.write(ctx, tx, book); err != nil {
			return err
		}
		d, err = detail(ctx, tx, sku)
		return err
	})
	return d, err
}

// notFound is the error of a query for one row, with the given one instead of pgx.ErrNoRows.
func notFound(err, instead error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return instead
	}
	return err
}
