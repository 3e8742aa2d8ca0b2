// Package events takes the commands of orders and the products of the catalogue to the store. What the store decides it
// appends to its outbox (internal/outbox), which the relay there publishes to app.Topic.
package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	kafka "souk/internal/events"
	"souk/internal/inbox"
	"souk/services/inventory/app"
)

// Group is the consumer group of all instances.
const Group = "inventory"

// Topics that are consumed.
const (
	CommandsTopic = "inventory.commands.v1" // key: order id
	ProductsTopic = "catalog.products.v1"   // key: product id
)

// Store is where commands take effect, in the transaction of the inbox.
type Store interface {
	Decide(ctx context.Context, tx pgx.Tx, commands []app.Command) error
	AddSKUs(ctx context.Context, tx pgx.Tx, skus []string) error
}

// Handler is inbox.Options.HandleAll on a store: all events of a batch take effect together. Events of other types are
// passed over.
func Handler(store Store) func(context.Context, pgx.Tx, []kafka.Message) error {
	return func(ctx context.Context, tx pgx.Tx, ms []kafka.Message) error {
		var commands []app.Command
		var skus []string
		for _, m := range ms {
			var err error
			switch kind := m.Event.Type(); kind {
			case string(app.Reserve), string(app.Commit), string(app.Release):
				var c app.Command
				c, err = command(m)
				c.Traceparent = m.Traceparent
				commands = append(commands, c)
			case "souk.catalog.product.created.v1", "souk.catalog.product.updated.v1", "souk.catalog.product.archived.v1", "souk.catalog.product.restored.v1":
				skus, err = addVariants(skus, m)
			}
			if err != nil {
				return inbox.Poison(fmt.Errorf("%s: %w", m.Event.Type(), err))
			}
		}
		if len(skus) > 0 {
			if err := store.AddSKUs(ctx, tx, skus); err != nil {
				return err
			}
		}
		if len(commands) == 0 {
			return nil
		}
		return store.Decide(ctx, tx, commands)
	}
}

// command reads what orders asks for. Members that it doesn't know are passed over: a publisher may add some.
func command(m kafka.Message) (app.Command, error) {
	var data struct {
		OrderID   uuid.UUID  `json:"order_id"`
		ExpiresAt time.Time  `json:"expires_at"`
		Reason    string     `json:"reason"`
		Lines     []app.Line `json:"lines"`
	}
	if err := json.Unmarshal(m.Event.Data(), &data); err != nil {
		return app.Command{}, err
	}
	if m.Key != data.OrderID.String() { // what keeps the commands of an order in their order
		return app.Command{}, errors.New("the key is not the order's id")
	}
	switch app.CommandType(m.Event.Type()) {
	case app.Reserve:
		return app.NewReserve(data.OrderID, data.ExpiresAt, data.Lines)
	case app.Commit:
		return app.NewCommit(data.OrderID)
	}
	return app.NewRelease(data.OrderID, data.Reason)
}

// addVariants adds the SKUs of a product. One that was taken out of the catalogue stays known: stock and orders name it.
func addVariants(skus []string, m kafka.Message) ([]string, error) {
	var product struct {
		Variants []struct {
			SKU string `json:"sku"`
		} `json:"variants"`
	}
	if err := json.Unmarshal(m.Event.Data(), &product); err != nil {
		return nil, err
	}
	for _, v := range product.Variants {
		if !app.ValidSKU(v.SKU) {
			return nil, fmt.Errorf("%.70q is no SKU", v.SKU)
		}
		skus = append(skus, v.SKU)
	}
	return skus, nil
}
