package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/orders/app"
)

// Rows are sorted, so that two that save the same ones wait for each other instead of standing in each other's way.
const savePricesSQL = `INSERT INTO prices AS p (sku, product_id, version, name, minor, currency, active)
	SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::boolean[]) AS n(sku, product_id, version, name, minor, currency, active)
	ORDER BY n.sku, n.product_id
	ON CONFLICT (sku, product_id) DO UPDATE
	SET version = excluded.version, name = excluded.name, minor = excluded.minor, currency = excluded.currency, active = excluded.active
	WHERE p.version <= excluded.version`

// What of a product was not saved with its newest version is what it does not have any more.
const dropPricesSQL = `UPDATE prices AS p SET active = false, version = n.version
	FROM unnest($1::uuid[], $2::bigint[]) AS n(product_id, version)
	WHERE p.product_id = n.product_id AND p.version <= n.version AND (p.active OR p.version < n.version)
		AND NOT EXISTS (SELECT FROM unnest($3::text[], $4::uuid[]) AS has(sku, product_id) WHERE has.sku = p.sku AND has.product_id = p.product_id)`

// PricesOf implements app.PriceStore. That a cart asks first and is inserted then takes less of both programs' time than
// one statement that does both: PostgreSQL works longer at such a plan than at two that are simple.
func (s *Store) PricesOf(ctx context.Context, skus []string) (prices map[string]app.Price, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		prices = make(map[string]app.Price, len(skus))
		rows, err := q.Query(ctx, "SELECT sku, product_id, version, name, minor, currency, active FROM prices WHERE sku = ANY($1)", skus)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r priceRow
			if err := rows.Scan(&r.SKU, &r.Product, &r.Version, &r.Name, &r.Minor, &r.Currency, &r.Active); err != nil {
				return err
			}
			r.take(prices)
		}
		return rows.Err()
	})
	return prices, err
}

// SavePrices implements app.PriceStore.
func (s *Store) SavePrices(ctx context.Context, prices []app.Price) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, savePricesSQL, priceColumns(prices)...)
		return err
	})
}

// SaveProducts takes in products, each at most once: whatever they had before and have not any more is not for sale.
// Versions that are older than what is known do nothing.
func (s *Store) SaveProducts(ctx context.Context, tx pgx.Tx, products []app.Product) error {
	var prices []app.Price
	ids, versions := make([]uuid.UUID, len(products)), make([]int64, len(products))
	for i, p := range products {
		ids[i], versions[i] = p.ID, p.Version
		prices = append(prices, p.Prices...)
	}
	var b pgx.Batch
	columns := priceColumns(prices)
	b.Queue(savePricesSQL, columns...)
	b.Queue(dropPricesSQL, ids, versions, columns[0], columns[1])
	return tx.SendBatch(ctx, &b).Close()
}

func priceColumns(prices []app.Price) []any {
	n := len(prices)
	skus, products, versions := make([]string, n), make([]uuid.UUID, n), make([]int64, n)
	names, minors, currencies, active := make([]string, n), make([]int64, n), make([]string, n), make([]bool, n)
	for i, p := range prices {
		skus[i], products[i], versions[i], names[i] = p.SKU, p.ProductID, p.Version, p.Name
		minors[i], currencies[i], active[i] = p.Price.Minor, p.Price.Currency, p.Active
	}
	return []any{skus, products, versions, names, minors, currencies, active}
}

// priceRow is a row of prices as the queries of carts give it.
type priceRow struct {
	SKU      string    `json:"sku"`
	Product  uuid.UUID `json:"product"`
	Version  int64     `json:"version"`
	Name     string    `json:"name"`
	Minor    int64     `json:"minor"`
	Currency string    `json:"currency"`
	Active   bool      `json:"active"`
}

// take adds a row to what is known of its SKU: of two products that have or had it, it is the one's that sells it.
func (r *priceRow) take(prices map[string]app.Price) {
	if known, ok := prices[r.SKU]; ok && (known.Active || !r.Active) {
		return
	}
	p := app.Price{SKU: r.SKU, ProductID: r.Product, Version: r.Version, Name: r.Name, Active: r.Active}
	p.Price.Minor, p.Price.Currency = r.Minor, r.Currency
	prices[r.SKU] = p
}
