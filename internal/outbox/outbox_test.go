package outbox_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/errs"
	"souk/internal/events"
	"souk/internal/events/eventstest"
	"souk/internal/logs"
	"souk/internal/outbox"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/internal/testenv"
)

// fixture is a service's database and a topic.
type fixture struct {
	*testing.T
	pool    *postgres.Pool
	broker  string
	topic   string
	service string
}

func open(t *testing.T) fixture {
	t.Helper()
	f := fixture{T: t, pool: postgrestest.Open(t, "payments", postgres.Options{}), broker: testenv.Start(t).KafkaBroker()}
	f.service = "test-" + strings.ToLower(rand.Text())
	f.topic = f.service + ".events.v1"
	eventstest.Create(t, f.broker, events.Topic{Name: f.topic, Partitions: 3})
	return f
}

func (f fixture) options(broker string) outbox.Options {
	return outbox.Options{
		Service: f.service, Log: slog.New(slog.NewTextHandler(f.Output(), nil)), Metrics: prometheus.NewRegistry(),
		Brokers: func(context.Context) ([]string, error) { return []string{broker}, nil },
	}
}

// relay runs one until the test ends.
func (f fixture) relay(opts outbox.Options) {
	ctx, cancel := context.WithCancel(f.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		outbox.Relay(ctx, f.pool, opts)
	}()
	f.Cleanup(func() { cancel(); <-done })
}

func (f fixture) message(key string, n int) events.Message {
	return events.Message{Topic: f.topic, Key: key, Event: events.New(fmt.Sprintf("%s:%d", key, n), "/test", "souk.test.v1", fmt.Appendf(nil, `{"n":%d}`, n))}
}

func (f fixture) append(messages ...events.Message) {
	f.Helper()
	if err := f.try(messages...); err != nil {
		f.Fatal(err)
	}
}

func (f fixture) try(messages ...events.Message) error {
	return postgres.Tx(f.Context(), f.pool, func(tx pgx.Tx) error { return outbox.Append(f.Context(), tx, messages...) })
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

func (f fixture) waiting() (n int) {
	f.Helper()
	err := postgres.Read(f.Context(), f.pool, func(q postgres.Querier) error {
		return q.QueryRow(f.Context(), "SELECT count(*) FROM outbox").Scan(&n)
	})
	if err != nil {
		f.Fatal(err)
	}
	return n
}

func (f fixture) eventually(what string, holds func() bool) {
	f.Helper()
	for end := time.Now().Add(60 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			f.Fatalf("never: %s", what)
		}
	}
}

func (f fixture) drained() {
	f.Helper()
	f.eventually("the outbox is empty", func() bool { return f.waiting() == 0 })
}

// published gives what is on the topic now, whose end an event of our own marks.
func (f fixture) published() []events.Message {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), 60*time.Second)
	defer cancel()
	p, err := events.Open(ctx, events.Options{Brokers: []string{f.broker}, ClientID: "test", TransactionalID: rand.Text(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	defer p.Close()
	mark := rand.Text()
	var marks []events.Message
	for i := range 64 { // some for every partition
		marks = append(marks, events.Message{Topic: f.topic, Key: strconv.Itoa(i), Event: events.New(fmt.Sprint(mark, i), "/mark", "mark", nil)})
	}
	if err := p.Publish(ctx, marks); err != nil {
		f.Fatal(err)
	}
	r, err := events.Read(ctx, []string{f.broker}, slog.New(slog.DiscardHandler), f.topic)
	if err != nil {
		f.Fatal(err)
	}
	defer r.Close()
	var all []events.Message
	for seen := 0; seen < len(marks); {
		m, err := r.Next(ctx)
		switch {
		case err != nil:
			f.Fatal(err)
		case strings.HasPrefix(m.Event.ID(), mark):
			seen++
		case m.Event.Source() != "/mark":
			all = append(all, m)
		}
	}
	return all
}

// orderly fails unless each key's events are 0 to each-1: all there, and nothing
// comes for the first time before its predecessor. It returns how many are repetitions.
func (f fixture) orderly(all []events.Message, keys, each int) (repeated int) {
	f.Helper()
	next := map[string]int{}
	for _, m := range all {
		key, number, _ := strings.Cut(m.Event.ID(), ":")
		n, err := strconv.Atoi(number)
		switch {
		case err != nil || key != m.Key:
			f.Fatalf("event %q of key %q", m.Event.ID(), m.Key)
		case n > next[key]:
			f.Fatalf("key %s: %d comes before %d", key, n, next[key])
		case n < next[key]:
			repeated++
		default:
			next[key]++
		}
	}
	if len(next) != keys {
		f.Errorf("%d keys, want %d", len(next), keys)
	}
	for key, n := range next {
		if n != each {
			f.Errorf("key %s has %d events, want %d", key, n, each)
		}
	}
	return repeated
}

func TestWhatIsPublishedIsWhatWasAppended(t *testing.T) {
	f := open(t)
	f.relay(f.options(f.broker))
	trace := logs.NewTrace()
	ctx := logs.WithTrace(t.Context(), trace)
	m := f.message("köy", 0)
	m.Event.SetSubject("s")
	m.Event.SetTime(time.Date(2024, 2, 3, 4, 5, 6, 7000, time.UTC))
	m.Event.SetExtension(events.Sequence, "17")
	err := postgres.Tx(ctx, f.pool, func(tx pgx.Tx) error { return outbox.Append(ctx, tx, m) })
	if err != nil {
		t.Fatal(err)
	}
	f.drained()
	got := f.published()
	if len(got) != 1 {
		t.Fatalf("%d events", len(got))
	}
	if got[0].Key != "köy" || got[0].Traceparent != trace.Traceparent() || got[0].Event.String() != m.Event.String() || !bytes.Equal(got[0].Event.Data(), m.Event.Data()) {
		t.Errorf("got  %+v\nwant %+v", got[0], m)
	}
}

func TestAnEventOfAnUndoneChangeIsNotPublished(t *testing.T) {
	f := open(t)
	undone := errors.New("undone")
	err := postgres.Tx(t.Context(), f.pool, func(tx pgx.Tx) error {
		return errors.Join(outbox.Append(t.Context(), tx, f.message("a", 0)), undone)
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	if n := f.waiting(); n != 0 {
		t.Errorf("%d events wait", n)
	}
}

func TestAnEventThatCanNotBePublishedIsRefusedAtOnce(t *testing.T) {
	f := open(t)
	noType, big, badTopic := f.message("a", 0), f.message("a", 1), f.message("a", 2)
	noType.Event.SetType("")
	big.Event.DataEncoded = make([]byte, 950_000)
	badTopic.Topic = "what ever"
	for name, m := range map[string]events.Message{"no type": noType, "too big": big, "bad topic": badTopic} {
		if err := f.try(f.message("b", 1), m); err == nil {
			t.Errorf("%s: appended", name)
		}
	}
	if n := f.waiting(); n != 0 {
		t.Errorf("%d events wait", n)
	}
}

// The classic trap of reading by position: the lower id becomes visible later.
func TestATransactionThatCommitsLateIsNotSkipped(t *testing.T) {
	f := open(t)
	f.relay(f.options(f.broker))
	late, err := f.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = late.Rollback(context.Background()) }()
	if err := outbox.Append(t.Context(), late, f.message("late", 0)); err != nil {
		t.Fatal(err)
	}
	f.append(f.message("early", 0))
	f.drained()
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.drained()
	if repeated := f.orderly(f.published(), 2, 1); repeated != 0 {
		t.Errorf("%d repeated", repeated)
	}
}

// Writers of the same aggregates, each change under the lock of its row; credentials
// change meanwhile, and with them the leader.
func TestEventsOfAnAggregateComeInTheOrderOfItsChanges(t *testing.T) {
	f := open(t)
	const keys, each, writers = 5, 120, 6
	f.exec("CREATE TABLE aggregates (key text PRIMARY KEY, version int NOT NULL)")
	f.exec("INSERT INTO aggregates SELECT n, 0 FROM generate_series(0, $1 - 1) n", keys)
	f.relay(f.options(f.broker))
	f.relay(f.options(f.broker))
	var done sync.WaitGroup
	for w := range writers {
		done.Go(func() {
			for i := w; i < keys*each; i += writers {
				key := strconv.Itoa(i % keys)
				err := postgres.Tx(t.Context(), f.pool, func(tx pgx.Tx) error {
					version := 0
					err := tx.QueryRow(t.Context(), "UPDATE aggregates SET version = version + 1 WHERE key = $1 RETURNING version - 1", key).Scan(&version)
					if err != nil {
						return err
					}
					return outbox.Append(t.Context(), tx, f.message(key, version))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	f.drained()
	t.Logf("%d repeated", f.orderly(f.published(), keys, each))
}

func TestATopicThatNobodyMadeIsMade(t *testing.T) {
	f := open(t)
	f.topic = f.service + ".other.v1"
	f.relay(f.options(f.broker))
	f.append(f.message("a", 0))
	f.drained()
	eventstest.Create(t, f.broker, events.Topic{Name: f.topic, Partitions: 1}) // it goes with the test
	f.orderly(f.published(), 1, 1)
}

func TestAFullOutboxRefusesChangesUntilItHasRoom(t *testing.T) {
	f := open(t)
	proxy := eventstest.NewProxy(t, f.broker)
	proxy.Cut()
	opts := f.options(proxy.Addr)
	opts.MaxDepth = 100
	f.relay(opts)
	n := 0
	f.eventually("it is full", func() bool {
		err := f.try(f.message("a", n))
		switch {
		case err == nil:
			n++
		case errs.KindOf(err) != errs.Unavailable || errs.CodeOf(err) != "events-backlog":
			t.Fatal(err)
		}
		return err != nil
	})
	if n < 100 {
		t.Errorf("full after %d events", n)
	}
	proxy.Mend()
	f.drained()
	f.eventually("it takes events again", func() bool {
		err := f.try(f.message("a", n))
		return err == nil
	})
	f.drained()
	f.orderly(f.published(), 1, n+1)
}

func TestKafkaAwayAndBack(t *testing.T) {
	f := open(t)
	proxy := eventstest.NewProxy(t, f.broker)
	f.relay(f.options(proxy.Addr))
	const rounds, each = 4, 50
	n := 0
	for range rounds {
		for range each {
			f.append(f.message("a", n), f.message("b", n))
			n++
		}
		proxy.Cut()
		for range each {
			f.append(f.message("a", n), f.message("b", n))
			n++
		}
		time.Sleep(500 * time.Millisecond)
		proxy.Mend()
	}
	f.drained()
	t.Logf("%d repeated", f.orderly(f.published(), 2, n))
}
