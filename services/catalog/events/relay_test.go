package events_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"souk/contracts"
	kafka "souk/internal/events"
	"souk/internal/events/eventstest"
	"souk/internal/logs"
	"souk/internal/money"
	"souk/internal/testenv"
	"souk/services/catalog/app"
	"souk/services/catalog/events"
	"souk/services/catalog/store"
	"souk/services/catalog/store/mongotest"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// shop is a catalogue with topics of its own.
type shop struct {
	*app.Catalog
	store    *store.Store
	broker   string
	suffix   string // of the topics
	relayID  string // transactional id
	settings app.Settings
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{
		store: newStore(t), broker: testenv.Start(t).KafkaBroker(), suffix: "." + rand.Text(), relayID: rand.Text(),
		settings: app.Settings{PendingPerProduct: 5, PendingProducts: 1000, TreeAge: time.Second},
	}
	s.Catalog = app.New(s.store, func() app.Settings { return s.settings })
	topics := events.Topics("dev")
	for i := range topics {
		topics[i].Name += s.suffix
	}
	eventstest.Create(t, s.broker, topics...)
	return s
}

// newStore is a store on a database of the test's own.
func newStore(t testing.TB) *store.Store {
	t.Helper()
	uri, database := mongotest.Database(t)
	s, err := store.Open(t.Context(), store.Options{URI: uri, Database: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// suffixed sends to the shop's topics, and fails as it is told.
type suffixed struct {
	events.Publisher
	suffix string
	before func() error
	after  func() error
}

func (p suffixed) Publish(ctx context.Context, messages []kafka.Message) error {
	for i := range messages {
		messages[i].Topic += p.suffix
	}
	if p.before != nil {
		if err := p.before(); err != nil {
			return err
		}
	}
	if err := p.Publisher.Publish(ctx, messages); err != nil || p.after == nil {
		return err
	}
	return p.after()
}

func (s *shop) open(before, after func() error) func(context.Context) (events.Publisher, error) {
	return func(ctx context.Context) (events.Publisher, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		p, err := kafka.Open(ctx, kafka.Options{Brokers: []string{s.broker}, ClientID: "test", TransactionalID: s.relayID, Log: quiet()})
		if err != nil {
			return nil, err
		}
		return suffixed{p, s.suffix, before, after}, nil
	}
}

// run starts a relay of an instance, and gives what stops it and waits.
func (s *shop) run(t *testing.T, instance string, open func(context.Context) (events.Publisher, error)) (stop func()) {
	t.Helper()
	return s.runWith(t, s.store.Lease("relay", instance, events.LeaseTTL), s.store, open)
}

func (s *shop) runWith(t *testing.T, lease events.Lease, outbox events.Outbox, open func(context.Context) (events.Publisher, error)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := events.NewRelay(outbox, lease, open, func() events.Settings { return events.Settings{Interval: 20 * time.Millisecond, Batch: 7} }, quiet())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

func (s *shop) make(t *testing.T, name string) app.Product {
	t.Helper()
	p, _, err := s.CreateProduct(t.Context(), app.ProductInput{Slug: name, Title: name,
		Variants: []app.Variant{{SKU: name, Price: money.Amount{Minor: 1, Currency: "EUR"}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *shop) retitle(t *testing.T, id, title string) {
	t.Helper()
	if _, err := s.UpdateProduct(t.Context(), id, app.AnyVersion, app.ProductPatch{Title: &title}); err != nil {
		t.Fatal(err)
	}
}

// drained waits until nothing waits in the outbox.
func (s *shop) drained(t *testing.T) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for {
		left, err := s.store.Pending(t.Context(), 100)
		waiting, err2 := s.store.Waiting(t.Context(), 100)
		if errors.Join(err, err2) == nil && len(left)+waiting == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d events still wait (%v)", len(left), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// published reads all of the products' topic.
func (s *shop) published(t *testing.T, topic string) []kafka.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// A last event says that there are no more: partitions are read in no common order,
	// so one goes into each.
	p, err := s.open(nil, nil)(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const last = 24
	var ends []kafka.Message
	for i := range last {
		ends = append(ends, kafka.Message{Topic: topic, Key: fmt.Sprint("end-", i), Event: kafka.New("end", "/test", "end", nil)})
	}
	if err := p.Publish(ctx, ends); err != nil {
		t.Fatal(err)
	}
	r, err := kafka.Read(ctx, []string{s.broker}, quiet(), topic+s.suffix)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []kafka.Message
	for ends := 0; ends < last; {
		m, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if m.Event.ID() == "end" {
			ends++
			continue
		}
		all = append(all, m)
	}
	return all
}

// checkOrder: each product's versions appear for the first time in order, from 1 to
// the number wanted, and an event that is repeated is the same event.
func checkOrder(t *testing.T, all []kafka.Message, want map[string]int) (repeated int) {
	t.Helper()
	seen, ids := map[string]int{}, map[string]string{}
	for _, m := range all {
		var sequence int
		if _, err := fmt.Sscan(fmt.Sprint(m.Event.Extensions()[kafka.Sequence]), &sequence); err != nil {
			t.Fatal(err)
		}
		event := fmt.Sprint(m.Key, " ", sequence)
		if sequence <= seen[m.Key] {
			repeated++
			if ids[event] != m.Event.ID() {
				t.Errorf("%s was repeated under another id", event)
			}
			continue
		}
		if sequence != seen[m.Key]+1 {
			t.Errorf("%s: version %d after %d", m.Key, sequence, seen[m.Key])
		}
		seen[m.Key], ids[event] = sequence, m.Event.ID()
	}
	for key, n := range want {
		if seen[key] != n {
			t.Errorf("%s: published up to version %d of %d", key, seen[key], n)
		}
	}
	return repeated
}

func TestEveryChangeIsPublishedOnceAndInOrder(t *testing.T) {
	s := newShop(t)
	s.run(t, "one", s.open(nil, nil))
	trace := logs.NewTrace()
	p, _, err := s.CreateProduct(logs.WithTrace(t.Context(), trace), app.ProductInput{Slug: "traced", Title: "traced",
		Variants: []app.Variant{{SKU: "traced", Price: money.Amount{Minor: 1, Currency: "EUR"}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.retitle(t, p.ID, "changed")
	if _, err := s.ArchiveProduct(t.Context(), p.ID, 2); err != nil {
		t.Fatal(err)
	}
	draft := app.Draft
	if _, err := s.UpdateProduct(t.Context(), p.ID, 3, app.ProductPatch{Status: &draft}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.CreateCategory(t.Context(), app.CategoryInput{Slug: "shoes", Name: "Shoes"}, nil); err != nil {
		t.Fatal(err)
	}
	s.drained(t)
	all := s.published(t, events.ProductsTopic)
	if repeated := checkOrder(t, all, map[string]int{p.ID: 4}); repeated > 0 || len(all) != 4 {
		t.Errorf("%d events, %d repeated; want 4 and 0", len(all), repeated)
	}
	for i, want := range []app.EventType{app.ProductCreated, app.ProductUpdated, app.ProductArchived, app.ProductRestored} {
		if e := all[i].Event; e.Type() != string(want) || e.Subject() != p.ID || e.Source() != events.Source || e.DataSchema() != events.ProductSchema {
			t.Errorf("event %d is %s", i, e)
		}
		if err := contracts.Check(all[i]); err != nil {
			t.Errorf("event %d: %v", i, err)
		}
	}
	if all[0].Traceparent != trace.Traceparent() || all[1].Traceparent != "" {
		t.Errorf("traceparent %q and %q", all[0].Traceparent, all[1].Traceparent)
	}
	trees := s.published(t, events.CategoriesTopic)
	if len(trees) != 1 || trees[0].Key != app.TreeKey || trees[0].Event.Type() != string(app.CategoriesChanged) {
		t.Fatalf("categories: %v", trees)
	}
	if err := contracts.Check(trees[0]); err != nil {
		t.Error(err)
	}
}

func TestARelayKilledBetweenPublishAndPullOnlyRepeats(t *testing.T) {
	s := newShop(t)
	want := map[string]int{}
	for i := range 10 {
		p := s.make(t, fmt.Sprint("p", i))
		for v := range 3 {
			s.retitle(t, p.ID, fmt.Sprint("title ", v))
		}
		want[p.ID] = 4
	}
	// It dies after each of its first four batches: what it published stays in the outbox.
	var batches atomic.Int32
	killed := errors.New("killed")
	s.run(t, "one", s.open(nil, func() error {
		if batches.Add(1) <= 4 {
			return killed
		}
		return nil
	}))
	s.drained(t)
	if repeated := checkOrder(t, s.published(t, events.ProductsTopic), want); repeated == 0 {
		t.Error("nothing was repeated, so nothing was tested")
	}
}

// always is a lease that everybody holds.
type always struct{}

func (always) Acquire(context.Context) (bool, error) { return true, nil }
func (always) Release(context.Context) error         { return nil }

func TestTwoRelaysThatBothBelieveToLeadKeepTheOrder(t *testing.T) {
	s := newShop(t)
	var products []app.Product
	want := map[string]int{}
	for i := range 6 {
		products = append(products, s.make(t, fmt.Sprint("p", i)))
	}
	for range 3 {
		// Each pauses before publishing, so that it holds what the other publishes too.
		s.runWith(t, always{}, s.store, s.open(func() error { time.Sleep(time.Duration(time.Now().UnixNano() % 7e6)); return nil }, nil))
	}
	for v := range 12 {
		for _, p := range products {
			for {
				title := fmt.Sprint("title ", v)
				_, err := s.UpdateProduct(t.Context(), p.ID, app.AnyVersion, app.ProductPatch{Title: &title})
				if err == nil {
					break
				}
				time.Sleep(20 * time.Millisecond) // the outbox of the product is full
			}
			want[p.ID] = v + 2
		}
	}
	s.drained(t)
	checkOrder(t, s.published(t, events.ProductsTopic), want)
}

func TestAKilledLeaderIsReplaced(t *testing.T) {
	s := newShop(t)
	// The leader dies without giving its lease back.
	dead := s.store.Lease("relay", "dead", events.LeaseTTL)
	if held, err := dead.Acquire(t.Context()); err != nil || !held {
		t.Fatalf("held %v, %v", held, err)
	}
	s.run(t, "alive", s.open(nil, nil))
	began := time.Now()
	s.make(t, "waiting")
	s.drained(t)
	if took := time.Since(began); took > 12*time.Second {
		t.Errorf("the events waited for %s", took)
	}
	if held, err := dead.Acquire(t.Context()); err != nil || held {
		t.Errorf("the dead one came back and holds the lease: %v, %v", held, err)
	}
}

func TestALeaderThatStopsIsReplacedAtOnce(t *testing.T) {
	s := newShop(t)
	stop := s.run(t, "one", s.open(nil, nil))
	s.make(t, "a")
	s.drained(t)
	s.run(t, "two", s.open(nil, nil))
	stop()
	began := time.Now()
	s.make(t, "b")
	s.drained(t)
	if took := time.Since(began); took > events.LeaseTTL {
		t.Errorf("it took %s, as if the lease had to run out", took)
	}
}

func TestWhileKafkaIsAwayWritesWaitUpToACap(t *testing.T) {
	s := newShop(t)
	s.settings.PendingProducts = 4
	var up atomic.Bool
	healthy := s.open(nil, nil)
	s.run(t, "one", func(ctx context.Context) (events.Publisher, error) {
		if !up.Load() {
			return nil, errors.New("no broker answers")
		}
		return healthy(ctx)
	})
	p := s.make(t, "busy")
	for v := range 4 { // with the first event that makes five
		s.retitle(t, p.ID, fmt.Sprint("title ", v))
	}
	title := "one too many"
	if _, err := s.UpdateProduct(t.Context(), p.ID, app.AnyVersion, app.ProductPatch{Title: &title}); !errors.Is(err, app.OutboxFull()) {
		t.Errorf("a sixth event of a product: %v", err)
	}
	for i := range 3 {
		s.make(t, fmt.Sprint("p", i))
	}
	time.Sleep(1100 * time.Millisecond) // the count of what waits is kept for a second
	if _, _, err := s.CreateProduct(t.Context(), app.ProductInput{Slug: "x", Title: "x",
		Variants: []app.Variant{{SKU: "x", Price: money.Amount{Minor: 1, Currency: "EUR"}}}}, nil); !errors.Is(err, app.OutboxFull()) {
		t.Errorf("a fifth product that waits: %v", err)
	}
	up.Store(true)
	s.drained(t)
	checkOrder(t, s.published(t, events.ProductsTopic), map[string]int{p.ID: 5})
	time.Sleep(1100 * time.Millisecond)
	s.make(t, "after")
}

// readOnly takes nothing out of the outbox.
type readOnly struct {
	*store.Store
	refused atomic.Int32
	healed  atomic.Bool
}

func (r *readOnly) Published(ctx context.Context, e []app.Event) error {
	if !r.healed.Load() {
		r.refused.Add(1)
		return errors.New("the disk is full")
	}
	return r.Store.Published(ctx, e)
}

func TestADatabaseThatTakesNoWritesDoesNotMakeEventsRepeat(t *testing.T) {
	s := newShop(t)
	outbox := &readOnly{Store: s.store}
	s.runWith(t, s.store.Lease("relay", "one", events.LeaseTTL), outbox, s.open(nil, nil))
	p := s.make(t, "once")
	for outbox.refused.Load() < 3 {
		time.Sleep(20 * time.Millisecond)
	}
	outbox.healed.Store(true)
	s.drained(t)
	if repeated := checkOrder(t, s.published(t, events.ProductsTopic), map[string]int{p.ID: 1}); repeated > 0 {
		t.Errorf("%d events were repeated", repeated)
	}
}
