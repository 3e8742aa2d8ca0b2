package inbox_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/errs"
	"souk/internal/events"
	"souk/internal/events/eventstest"
	"souk/internal/inbox"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/internal/testenv"
)

// fixture is a service's database, where the effects of events are counted, and a topic.
type fixture struct {
	testing.TB
	pool     *postgres.Pool
	broker   string
	topic    string
	group    string
	producer *events.Producer
}

func open(t testing.TB) fixture {
	t.Helper()
	f := fixture{TB: t, pool: postgrestest.Open(t, "probe", postgres.Options{MaxConns: 20}), broker: testenv.Start(t).KafkaBroker()}
	name := "test-" + strings.ToLower(rand.Text())
	f.topic, f.group = name+".events.v1", name
	eventstest.Create(t, f.broker, events.Topic{Name: f.topic, Partitions: 4}, events.Topic{Name: inbox.DeadLetterTopic(f.topic, f.group), Partitions: 1})
	var err error
	f.producer, err = events.Open(t.Context(), events.Options{Brokers: []string{f.broker}, ClientID: "test", TransactionalID: name, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.producer.Close)
	f.exec("CREATE TABLE effects (seq bigserial, key text NOT NULL, n int NOT NULL)")
	return f
}

func (f fixture) exec(sql string, args ...any) {
	f.Helper()
	err := postgres.Tx(f.Context(), f.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(f.Context(), sql, args...)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
}

func (f fixture) message(key string, n int) events.Message {
	return events.Message{Topic: f.topic, Key: key, Event: events.New(fmt.Sprintf("%s:%d", key, n), "/test", "souk.test.v1", fmt.Append(nil, n))}
}

func (f fixture) publish(messages ...events.Message) {
	f.Helper()
	if err := f.producer.Publish(f.Context(), messages); err != nil {
		f.Fatal(err)
	}
}

// effect is what every handler here does to the database.
func effect(ctx context.Context, tx pgx.Tx, m events.Message) error {
	key, number, _ := strings.Cut(m.Event.ID(), ":")
	n, err := strconv.Atoi(number)
	if err == nil {
		_, err = tx.Exec(ctx, "INSERT INTO effects (key, n) VALUES ($1, $2)", key, n)
	}
	return err
}

type handler = func(ctx context.Context, tx pgx.Tx, m events.Message) error

// member is a running consumer.
type member struct {
	registry *prometheus.Registry
	stop     func()
}

func (f fixture) options(handle handler) inbox.Options {
	return inbox.Options{
		Group: f.group, Topics: []string{f.topic}, Handle: handle, FirstWait: 20 * time.Millisecond, MaxWait: 200 * time.Millisecond,
		Brokers: func(context.Context) ([]string, error) { return []string{f.broker}, nil },
		Log:     slog.New(slog.NewTextHandler(f.output(), nil)),
	}
}

// batches is options for a handler of batches.
func (f fixture) batches(handle handler) inbox.Options {
	opts := f.options(nil)
	opts.HandleAll = each(handle)
	return opts
}

// each makes a handler of batches of one for single events.
func each(handle handler) func(context.Context, pgx.Tx, []events.Message) error {
	return func(ctx context.Context, tx pgx.Tx, ms []events.Message) error {
		for _, m := range ms {
			if err := handle(ctx, tx, m); err != nil {
				return err
			}
		}
		return nil
	}
}

// output is the test's until it ends: a Kafka client that was left behind may log later.
func (f fixture) output() io.Writer {
	o := &output{to: f.Output()}
	f.Cleanup(o.end)
	return o
}

type output struct {
	mu sync.Mutex
	to io.Writer
}

func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to = io.Discard
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to.Write(p)
}

func (f fixture) run(opts inbox.Options) member {
	m := member{registry: prometheus.NewRegistry()}
	opts.Metrics = m.registry
	ctx, cancel := context.WithCancel(f.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		inbox.Run(ctx, f.pool, opts)
	}()
	m.stop = func() { cancel(); <-done }
	f.Cleanup(m.stop)
	return m
}

// metric sums up the metric's series whose labels have all these values.
func (m member) metric(t testing.TB, name string, values ...string) (sum float64) {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, series := range family.GetMetric() {
			has := []string{}
			for _, l := range series.GetLabel() {
				has = append(has, l.GetValue())
			}
			if !slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(has, v) }) {
				sum += series.GetCounter().GetValue() + series.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func (f fixture) eventually(what string, holds func() bool) {
	f.Helper()
	for end := time.Now().Add(60 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			f.Fatalf("never: %s", what)
		}
	}
}

// effects of a key, in their order.
func (f fixture) effects(key string) (all []int) {
	f.Helper()
	err := postgres.Read(f.Context(), f.pool, func(q postgres.Querier) error {
		rows, err := q.Query(f.Context(), "SELECT n FROM effects WHERE key = $1 ORDER BY seq", key)
		if err == nil {
			all, err = pgx.CollectRows(rows, pgx.RowTo[int])
		}
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	return all
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// handledInOrder waits for each key's events 0 to each-1, and fails if one took effect
// twice or before another.
func (f fixture) handledInOrder(each int, keys ...string) {
	f.Helper()
	for _, key := range keys {
		f.eventually("the last event of "+key+" is handled", func() bool { return slices.Contains(f.effects(key), each-1) })
		if got := f.effects(key); !slices.Equal(got, upTo(each)) {
			f.Errorf("key %s: %d effects, want %d in order: %v", key, len(got), each, got)
		}
	}
}

// letters gives the first n records of the dead letter topic.
func (f fixture) letters(n int) []map[string]string {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), 30*time.Second)
	defer cancel()
	g, err := events.Join(events.GroupOptions{
		Brokers: []string{f.broker}, Group: f.group + "-letters-" + rand.Text(), ClientID: "test", Topics: []string{inbox.DeadLetterTopic(f.topic, f.group)},
		Log: slog.New(slog.DiscardHandler), Assigned: func([]events.Partition) {}, Revoked: func([]events.Partition, bool) {},
	})
	if err != nil {
		f.Fatal(err)
	}
	defer g.Close()
	var all []map[string]string
	for len(all) < n && ctx.Err() == nil {
		r, what, err := g.Poll(100 * time.Millisecond)
		if err != nil {
			f.Fatal(err)
		}
		if what == events.Found {
			headers := map[string]string{"key": string(r.Key), "value": string(r.Value)}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			all = append(all, headers)
		}
	}
	if len(all) < n {
		f.Fatalf("%d dead letters, want %d", len(all), n)
	}
	return all
}

func (f fixture) parked() []inbox.ParkedKey {
	f.Helper()
	keys, err := inbox.List(f.Context(), f.pool, inbox.Filter{Group: f.group})
	if err != nil {
		f.Fatal(err)
	}
	return keys
}

func (f fixture) parkedEvents(n int) {
	f.Helper()
	f.eventually(fmt.Sprint(n, " events are parked"), func() bool {
		sum := 0
		for _, k := range f.parked() {
			sum += k.Events
		}
		return sum == n
	})
}

func TestEachEventTakesEffectOnceAndInOrder(t *testing.T) {
	f := open(t)
	const each = 50
	keys := []string{"a", "b", "c", "d", "e"}
	for n := range each {
		for _, key := range keys {
			f.publish(f.message(key, n), f.message(key, max(0, n-1))) // an outbox that repeats itself
		}
	}
	m := f.run(f.options(effect))
	f.handledInOrder(each, keys...)
	f.eventually("the lag is gone", func() bool {
		return m.metric(t, "inbox_lag") == 0 && m.metric(t, "inbox_events_total", "duplicate") == float64(len(keys)*each)
	})
}

func TestAnEventDeliveredFiveTimesAtOnceToTwoMembersTakesEffectOnce(t *testing.T) {
	f := open(t)
	slow := func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		time.Sleep(50 * time.Millisecond) // the others come meanwhile
		return effect(ctx, tx, m)
	}
	first, second := f.run(f.options(slow)), f.run(f.options(slow))
	f.eventually("both have partitions", func() bool {
		return first.metric(t, "inbox_partitions") == 2 && second.metric(t, "inbox_partitions") == 2
	})
	const rounds = 20
	for n := range rounds {
		copies := make([]events.Message, 5)
		for i := range copies {
			copies[i] = f.message("same", n)
			copies[i].Key = fmt.Sprint("elsewhere", i) // another partition
		}
		f.publish(copies...)
	}
	settled := func(outcome string) float64 {
		return first.metric(t, "inbox_events_total", outcome) + second.metric(t, "inbox_events_total", outcome)
	}
	f.eventually("all are settled", func() bool { return settled("handled")+settled("duplicate") == 5*rounds })
	got := f.effects("same")
	slices.Sort(got)
	if !slices.Equal(got, upTo(rounds)) || settled("duplicate") != 4*rounds {
		t.Errorf("effects %v, %v duplicates", got, settled("duplicate"))
	}
	t.Logf("handled by the first %v, by the second %v", first.metric(t, "inbox_events_total", "handled"), second.metric(t, "inbox_events_total", "handled"))
}

func TestATransientFailureIsTriedAgainForAsLongAsItTakes(t *testing.T) {
	f := open(t)
	var tries atomic.Int32
	m := f.run(f.options(func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		if m.Key == "a" && tries.Add(1) < 12 {
			// What it did before it failed must not stay.
			return errors.Join(effect(ctx, tx, m), errs.New(errs.Unavailable, "away", "away"))
		}
		return effect(ctx, tx, m)
	}))
	f.publish(f.message("a", 0), f.message("a", 1))
	f.handledInOrder(2, "a")
	if n := m.metric(t, "inbox_failures_total", "transient"); n != 11 {
		t.Errorf("%v failures", n)
	}
	if p := f.parked(); len(p) > 0 {
		t.Errorf("parked: %v", p)
	}
}

func TestAnErrorIsTriedFiveTimesAndParked(t *testing.T) {
	f := open(t)
	var tries atomic.Int32
	f.run(f.options(func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		if m.Key == "a" {
			tries.Add(1)
			return errors.Join(effect(ctx, tx, m), errors.New("no\n good"))
		}
		return effect(ctx, tx, m)
	}))
	f.publish(f.message("a", 0), f.message("b", 0))
	f.handledInOrder(1, "b")
	f.parkedEvents(1)
	if n := tries.Load(); n != 5 {
		t.Errorf("tried %d times", n)
	}
	if got := f.effects("a"); len(got) > 0 {
		t.Errorf("effects %v", got)
	}
	letter := f.letters(1)[0]
	for header, want := range map[string]string{
		"key": "a", "value": "0", "ce_id": "a:0", inbox.HeaderTopic: f.topic, inbox.HeaderGroup: f.group, inbox.HeaderAttempts: "5",
		inbox.HeaderReason: "attempts", inbox.HeaderError: "no good",
	} {
		if letter[header] != want {
			t.Errorf("header %s is %q, want %q", header, letter[header], want)
		}
	}
	if letter[inbox.HeaderPartition] == "" || letter[inbox.HeaderOffset] == "" || letter[inbox.HeaderAt] == "" {
		t.Errorf("the letter doesn't say where from and when: %v", letter)
	}
}

func TestAHandlerThatPanicsIsPoison(t *testing.T) {
	f := open(t)
	f.run(f.options(func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		if m.Key == "a" {
			if err := effect(ctx, tx, m); err != nil {
				return err
			}
			panic("oh")
		}
		return effect(ctx, tx, m)
	}))
	f.publish(f.message("a", 0), f.message("b", 0), f.message("a", 1))
	f.handledInOrder(1, "b")
	f.parkedEvents(2)
	if p := f.parked(); p[0].Error != "panic: oh" || p[0].Key != "a" {
		t.Errorf("parked: %+v", p)
	}
	if got := f.effects("a"); len(got) > 0 {
		t.Errorf("effects %v", got)
	}
}

func TestARecordThatIsNoEventIsParkedAndCanBeDropped(t *testing.T) {
	f := open(t)
	bad := events.Record{Topic: f.topic, Key: []byte("k\x00\xff"), Value: []byte{0, 255}, Headers: []events.Header{{Key: "ce_id", Value: []byte("\x00\xfe")}}}
	unkeyed := events.Record{Topic: f.topic, Value: []byte("x")}
	if err := f.producer.PublishRecords(t.Context(), []events.Record{bad, unkeyed, unkeyed}); err != nil {
		t.Fatal(err)
	}
	good := f.message("k\x00\xff", 0)
	good.Event.SetID("good:0")
	odd := f.message("odd", 0)
	odd.Event.SetSource("/" + strings.Repeat("x", 5000))
	other := f.message("", 0)
	other.Event.SetID("nokey:0")
	f.publish(good, odd, other)
	f.run(f.options(effect))
	f.handledInOrder(1, "odd", "nokey")
	f.parkedEvents(4)
	if n := len(f.parked()); n != 3 {
		t.Errorf("%d keys are parked", n)
	}
	filter := inbox.Filter{Group: f.group, Key: "k\x00\xff"}
	shown, err := inbox.Show(t.Context(), f.pool, filter)
	if err != nil || len(shown) != 2 || string(shown[0].Record.Value) != "\x00\xff" {
		t.Fatalf("%v, %+v", err, shown)
	}
	if _, err := inbox.Replay(t.Context(), f.pool, filter); err != nil {
		t.Fatal(err)
	}
	f.eventually("its replay fails", func() bool {
		keys, err := inbox.List(t.Context(), f.pool, filter)
		return err == nil && !keys[0].Replaying
	})
	if err := inbox.Drop(t.Context(), f.pool, shown[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := inbox.Drop(t.Context(), f.pool, shown[0].ID); errs.KindOf(err) != errs.NotFound {
		t.Errorf("dropped twice: %v", err)
	}
	if _, err := inbox.Replay(t.Context(), f.pool, filter); err != nil {
		t.Fatal(err)
	}
	f.handledInOrder(1, "good")
	f.parkedEvents(2)
}
