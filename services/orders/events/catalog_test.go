package events_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/contracts"
	kafka "souk/internal/events"
	"souk/internal/events/eventstest"
	"souk/internal/inbox"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/internal/testenv"
	"souk/services/orders/events"
	"souk/services/orders/store"
)

// projection is the one of prices, and a topic to make it from.
type projection struct {
	t        *testing.T
	pool     *postgres.Pool
	store    *store.Store
	broker   string
	topic    string
	producer *kafka.Producer
}

func open(t *testing.T) projection {
	t.Helper()
	p := projection{t: t, pool: postgrestest.Open(t, "orders", postgres.Options{}), broker: testenv.Start(t).KafkaBroker(), topic: "test-" + strings.ToLower(rand.Text()) + ".products.v1"}
	log := slog.New(slog.DiscardHandler)
	p.store = store.New(p.pool, log)
	if err := p.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	topics := []kafka.Topic{{Name: p.topic, Partitions: 3}}
	for _, group := range []string{"one", "two"} {
		topics = append(topics, kafka.Topic{Name: inbox.DeadLetterTopic(p.topic, p.group(group)), Partitions: 1})
	}
	eventstest.Create(t, p.broker, topics...)
	var err error
	p.producer, err = kafka.Open(t.Context(), kafka.Options{Brokers: []string{p.broker}, ClientID: "test", TransactionalID: p.topic, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.producer.Close)
	return p
}

func (p projection) group(name string) string { return p.topic + "-" + name }

var lamp, shirt = uuid.MustParse("0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55"), uuid.MustParse("0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a56")

// changed is an event as the catalogue publishes it.
func (p projection) changed(product uuid.UUID, version int, status, title, variants string) kafka.Message {
	id := fmt.Sprintf("%s-%d", product, version)
	data := fmt.Sprintf(`{"id":%q,"version":%d,"status":%q,"slug":"x","title":%q,"description":"","brand":"","category_id":null,"options":[],"variants":[%s],
		"images":[],"attributes":{},"price_range":{"min":{"amount":1,"currency":"EUR"},"max":{"amount":1,"currency":"EUR"}},"created_at":"2026-01-15T09:30:00Z","updated_at":"2026-01-15T09:30:00Z"}`, product, version, status, title, variants)
	m := p.message(product.String(), "souk.catalog.product.updated.v1", id, data)
	m.Event.SetSubject(m.Key)
	m.Event.SetTime(time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC))
	m.Event.SetDataSchema("urn:souk:schema:catalog:product:v1")
	if err := contracts.Check(m); err != nil {
		p.t.Errorf("the catalogue would not publish this: %v", err)
	}
	return m
}

func (p projection) message(key, kind, id, data string) kafka.Message {
	return kafka.Message{Topic: p.topic, Key: key, Event: kafka.New(id, "/catalog", kind, []byte(data))}
}

func variant(sku, title string, minor int) string {
	return fmt.Sprintf(`{"sku":%q,"title":%q,"options":{},"price":{"amount":%d,"currency":"EUR"}}`, sku, title, minor)
}

// prices is the whole projection.
func (p projection) prices() (all string) {
	p.t.Helper()
	err := p.pool.QueryRow(p.t.Context(), `SELECT coalesce(string_agg(sku || ' v' || version || ' ' || name || ' ' || minor || ' ' || currency || ' ' || active, '; '
		ORDER BY sku, product_id), '') FROM prices`).Scan(&all)
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// consume runs a group until the projection is as it should be.
func (p projection) consume(group, want string) {
	p.t.Helper()
	ctx, stop := context.WithCancel(p.t.Context())
	done := make(chan bool)
	go func() {
		defer close(done)
		inbox.Run(ctx, p.pool, inbox.Options{
			Group: p.group(group), Topics: []string{p.topic}, HandleAll: events.Products(p.store), FirstWait: time.Millisecond,
			Brokers: func(context.Context) ([]string, error) { return []string{p.broker}, nil }, Log: slog.New(slog.DiscardHandler),
		})
	}()
	deadline := time.Now().Add(30 * time.Second)
	for p.prices() != want && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	<-done
	if got := p.prices(); got != want {
		p.t.Fatalf("%s: the projection is %q, not %q", group, got, want)
	}
}

func TestPricesFollowTheCatalogue(t *testing.T) {
	p := open(t)
	two := variant("shirt-s", "S", 4900) + "," + variant("shirt-m", "M", 5100)
	story := []kafka.Message{
		p.changed(lamp, 1, "draft", "Lamp", variant("lamp", "", 1290)),
		p.changed(shirt, 1, "active", "Shirt", two),
		p.message("tree", "souk.catalog.categories.changed.v1", "tree-1", `{}`),
		p.changed(lamp, 2, "active", "Lamp", variant("lamp", "", 1300)),
		p.changed(lamp, 2, "active", "Lamp", variant("lamp", "", 1300)), // published twice
		p.changed(shirt, 2, "active", "Fine shirt", variant("shirt-m", "M", 5000)+","+variant("shirt-l", "L", 5200)),
	}
	// What is not from the catalogue, or not as it should be, is parked and holds nobody up.
	for i, data := range []string{
		`{`, `{}`, `[]`, `null`, `{"id":"` + lamp.String() + `","version":9,"status":"active","title":"","variants":[` + variant("other", "", 1) + `]}`,
		`{"id":"KEY","version":9,"status":"active","title":"","variants":[]}`,
		`{"id":"KEY","version":0,"status":"active","title":"","variants":[` + variant("other", "", 1) + `]}`,
		`{"id":"KEY","version":9,"status":"active","title":"","variants":[` + variant("other", "", -1) + `]}`,
		`{"id":"KEY","version":9,"status":"active","title":"","variants":[{"sku":"other"}]}`,
		`{"id":"KEY","version":9,"status":"active","title":"","variants":[{"sku":"other","price":{"amount":1.5,"currency":"EUR"}}]}`,
		`{"id":"KEY","version":9,"status":"active","title":"","variants":[{"sku":"other","price":{"amount":9007199254740993,"currency":"EUR"}}]}`,
		`{"id":"KEY","version":9,"status":"active","title":"","variants":[` + variant("other", "", 1) + `,` + variant("other", "", 2) + `]}`,
	} {
		key := uuid.NewString()
		story = append(story, p.message(key, "souk.catalog.product.created.v1", fmt.Sprint("poison-", i), strings.ReplaceAll(data, "KEY", key)))
	}
	story = append(story, p.changed(lamp, 3, "active", "Lamp", variant("lamp", "", 1400)))
	if err := p.producer.Publish(t.Context(), story); err != nil {
		t.Fatal(err)
	}
	const want = "lamp v3 Lamp 1400 EUR true; shirt-l v2 Fine shirt, L 5200 EUR true; shirt-m v2 Fine shirt, M 5000 EUR true; shirt-s v2 Shirt, S 4900 EUR false"
	p.consume("one", want)

	// The topic's beginning, for whoever has another group's name: over what is there, and over what is damaged.
	p.damage("UPDATE prices SET minor = 1, active = true")
	p.consume("two", strings.Replace(want, "4900", "1", 1)) // nobody says any more what it cost
	p.damage("TRUNCATE prices")
	p.handle(story...)
	if got := p.prices(); got != want {
		t.Errorf("from the beginning: %q", got)
	}
	p.handle(story...)
	for i := len(story) - 1; i >= 0; i-- { // in any order: the versions say which is later
		p.handle(story[i])
	}
	if got := p.prices(); got != want {
		t.Errorf("twice, and backwards: %q", got)
	}
}

func (p projection) damage(sql string) {
	p.t.Helper()
	if _, err := p.pool.Exec(p.t.Context(), sql); err != nil {
		p.t.Fatal(err)
	}
}

// handle gives the good ones of the messages to the handler, one batch.
func (p projection) handle(ms ...kafka.Message) {
	p.t.Helper()
	var good []kafka.Message
	for _, m := range ms {
		if !strings.HasPrefix(m.Event.ID(), "poison") {
			good = append(good, m)
		}
	}
	err := postgres.Tx(p.t.Context(), p.pool, func(tx pgx.Tx) error { return events.Products(p.store)(p.t.Context(), tx, good) })
	if err != nil {
		p.t.Error(err)
	}
}

func TestWhoIsErased(t *testing.T) {
	user := uuid.New()
	event := func(kind, data string) kafka.Message {
		return kafka.Message{Key: user.String(), Event: kafka.New("1", "/users", kind, []byte(data))}
	}
	got, is, err := events.UserErased(event("souk.users.user.erased.v1", `{"user_id":"`+user.String()+`","more":1}`))
	if got != user || !is || err != nil {
		t.Errorf("%s %v %v", got, is, err)
	}
	if _, is, err := events.UserErased(event("souk.users.user.registered.v1", `{`)); is || err != nil {
		t.Errorf("another event: %v %v", is, err)
	}
	for _, data := range []string{``, `{}`, `{"user_id":""}`, `{"user_id":7}`, `{"user_id":"` + uuid.Nil.String() + `"}`} {
		if _, is, err := events.UserErased(event("souk.users.user.erased.v1", data)); !is || err == nil {
			t.Errorf("%s: %v %v", data, is, err)
		}
	}
}
