// Package events publishes what happens in the catalogue. It consumes nothing.
package events

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"souk/contracts"
	kafka "souk/internal/events"
	"souk/services/catalog/app"
)

// Topics.
const (
	ProductsTopic   = "catalog.products.v1"   // key: product id
	CategoriesTopic = "catalog.categories.v1" // key: app.TreeKey
)

// Attributes of the events.
const (
	Source           = "/catalog"
	ProductSchema    = "urn:souk:schema:catalog:product:v1"    // components/schemas/Product of openapi.yaml
	CategoriesSchema = "urn:souk:schema:catalog:categories:v1" // components/schemas/CategoryTree
)

// TransactionalID is shared by all instances, of which one at a time publishes.
const TransactionalID = "catalog-relay"

// Topics as an environment has them. Each event holds the whole product or tree, so the
// newest of each key is kept for good and a reader can start from the beginning at any
// time; the older ones stay for a week.
func Topics(env string) []kafka.Topic { return contracts.Topics(env, "catalog") }

// message is an event as it goes on its topic.
func message(e app.Event) kafka.Message {
	topic, schema := ProductsTopic, ProductSchema
	if e.Type == app.CategoriesChanged {
		topic, schema = CategoriesTopic, CategoriesSchema
	}
	ce := kafka.New(e.ID, Source, string(e.Type), e.Data)
	ce.SetSubject(e.Subject)
	ce.SetTime(e.Time)
	ce.SetDataSchema(schema)
	ce.SetExtension(kafka.Sequence, strconv.FormatInt(e.Sequence, 10))
	return kafka.Message{Topic: topic, Key: e.Subject, Traceparent: e.Traceparent, Event: ce}
}

// Kafka gives what opens a Relay's connection: it asks for the brokers anew each time,
// and creates the topics if they are missing.
func Kafka(brokers func(context.Context) ([]string, error), topics []kafka.Topic, log *slog.Logger) func(context.Context) (Publisher, error) {
	return func(ctx context.Context) (Publisher, error) {
		ctx, cancel := context.WithTimeout(ctx, openLimit)
		defer cancel()
		at, err := brokers(ctx)
		if err != nil {
			return nil, err
		}
		if err := kafka.EnsureTopics(ctx, at, "catalog", log, topics...); err != nil {
			return nil, err
		}
		return kafka.Open(ctx, kafka.Options{Brokers: at, ClientID: "catalog", TransactionalID: TransactionalID, Log: log})
	}
}

const openLimit = 15 * time.Second
