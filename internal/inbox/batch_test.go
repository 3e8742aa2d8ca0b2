package inbox_test

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/events/eventstest"
	"souk/internal/inbox"
	"souk/internal/logs"
	"souk/internal/postgres"
)

func TestWhatIsQueuedIsOneTransactionWithoutItsDuplicates(t *testing.T) {
	f := open(t)
	const count = 250
	var all []events.Message
	for n := range count {
		all = append(all, f.message("a", n), f.message("a", n), f.message("a", max(0, n-3)))
	}
	f.publish(all...)
	var largest atomic.Int64
	opts := f.options(nil)
	opts.Batch = 40
	opts.HandleAll = func(ctx context.Context, tx pgx.Tx, ms []events.Message) error {
		largest.Store(max(largest.Load(), int64(len(ms)))) // one partition: nobody else is here
		return each(effect)(ctx, tx, ms)
	}
	m := f.run(opts)
	f.handledInOrder(count, "a")
	f.eventually("all are settled", func() bool { return m.metric(t, "inbox_events_total") == 3*count })
	if n := m.metric(t, "inbox_batches_total"); n > count/3 || largest.Load() > 40 {
		t.Errorf("%v transactions for %d events, up to %d in one", n, count, largest.Load())
	}
}

func TestPoisonInTheMiddleOfABatchParksOnlyItsKey(t *testing.T) {
	f := open(t)
	var mended atomic.Bool
	m := f.run(f.batches(func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		if err := effect(ctx, tx, m); err != nil || m.Event.ID() != "a:5" || mended.Load() {
			return err
		}
		return inbox.Poison(errors.New("unknown currency"))
	}))
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"} // in 4 partitions
	publish := func(from, to int) {
		var all []events.Message
		for n := from; n < to; n++ {
			for _, key := range keys {
				all = append(all, f.message(key, n))
			}
		}
		f.publish(all...)
	}
	publish(0, 12)
	f.handledInOrder(12, keys[1:]...)
	f.parkedEvents(7)
	if got := f.effects("a"); !slices.Equal(got, upTo(5)) {
		t.Fatalf("effects of the poisoned key: %v", got)
	}
	if n := m.metric(t, "inbox_failures_total"); n != 1 {
		t.Errorf("%v failures: only the poison's own attempt counts", n)
	}

	undone := m.metric(t, "inbox_batches_undone_total")
	publish(12, 20) // behind, beside others in their batches
	f.handledInOrder(20, keys[1:]...)
	f.parkedEvents(15)
	if n := m.metric(t, "inbox_batches_undone_total"); n != undone {
		t.Errorf("%v batches were undone because of a key that was parked", n-undone)
	}
	mended.Store(true)
	if _, err := inbox.Replay(t.Context(), f.pool, inbox.Filter{Group: f.group}); err != nil {
		t.Fatal(err)
	}
	publish(20, 22)
	f.handledInOrder(22, keys...)
	f.parkedEvents(0)
}

func TestABatchThatFailsOnceIsHandledOneByOne(t *testing.T) {
	f := open(t)
	var failed atomic.Bool
	opts := f.options(nil)
	opts.Attempts = 1 // whoever is alone may not fail
	opts.HandleAll = func(ctx context.Context, tx pgx.Tx, ms []events.Message) error {
		if err := each(effect)(ctx, tx, ms); err != nil || len(ms) == 1 {
			return err
		}
		failed.Store(true)
		panic("too many")
	}
	var all []events.Message
	for n := range 30 {
		all = append(all, f.message("a", n), f.message("b", n))
	}
	f.publish(all...)
	f.run(opts)
	f.handledInOrder(30, "a", "b")
	if p := f.parked(); len(p) > 0 || !failed.Load() {
		t.Errorf("parked: %v; a batch failed: %v", p, failed.Load())
	}
}

// An event in two partitions, as after a producer's mistake, must not make two batches
// wait for each other.
func TestBatchesWithTheSameEventsInAnyOrderTakeEffectOnce(t *testing.T) {
	f := open(t)
	var undone float64
	members := []member{f.run(f.batches(effect)), f.run(f.batches(effect))}
	f.eventually("both have partitions", func() bool {
		return members[0].metric(t, "inbox_partitions") == 2 && members[1].metric(t, "inbox_partitions") == 2
	})
	const count, copies = 200, 4
	var all []events.Message
	for n := range count {
		for i := range copies {
			m := f.message("same", n)
			m.Key = fmt.Sprint("elsewhere", i)
			all = append(all, m)
		}
	}
	mathrand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	f.publish(all...)
	f.eventually("all are settled", func() bool {
		settled := 0.0
		undone = 0
		for _, m := range members {
			settled += m.metric(t, "inbox_events_total")
			undone += m.metric(t, "inbox_batches_undone_total")
		}
		return settled == count*copies
	})
	got := f.effects("same")
	if slices.Sort(got); !slices.Equal(got, upTo(count)) || undone > 0 {
		t.Errorf("%d effects, %v batches undone", len(got), undone)
	}
}

// Another member, taken for dead, parks an event while our batch waits for its note.
func TestABatchSeesWhatWasParkedWhileItWaited(t *testing.T) {
	f := open(t)
	first, err := events.Encode(f.message("a", 0))
	if err != nil {
		t.Fatal(err)
	}
	other, err := f.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Rollback(context.Background()) }()
	for sql, args := range map[string][]any{
		`INSERT INTO inbox (consumer, event, parked) VALUES ($1, $2, true)`:                       {f.group, inbox.Identity(first)},
		`INSERT INTO inbox_parked_keys (consumer, topic, key, error) VALUES ($1, $2, 'a', 'bad')`: {f.group, f.topic},
	} {
		if _, err := other.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	f.publish(f.message("a", 0), f.message("a", 1), f.message("a", 2))
	f.run(f.batches(effect))
	f.eventually("the batch waits", func() (waits bool) {
		err := postgres.Read(t.Context(), f.pool, func(q postgres.Querier) error {
			return q.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'
				AND transactionid = $1::text::xid)`, fmt.Sprint(xid(t, other))).Scan(&waits)
		})
		return err == nil && waits
	})
	if err := other.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.parkedEvents(2)
	if got := f.effects("a"); len(got) > 0 {
		t.Errorf("effects %v, past an event that is parked", got)
	}
}

func xid(t *testing.T, tx pgx.Tx) (id int64) {
	t.Helper()
	if err := tx.QueryRow(t.Context(), `SELECT txid_current() % (1::bigint << 32)`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTracedGivesEachEventOfABatchItsOwnTrace(t *testing.T) {
	cause := logs.NewTrace()
	got, has := logs.TraceFrom(inbox.Traced(t.Context(), events.Message{Traceparent: cause.Traceparent()}))
	if !has || got.ID != cause.ID || got.Span == cause.Span {
		t.Errorf("%v of %v", got, cause)
	}
}

func TestRunRefusesTwoHandlersAndNone(t *testing.T) {
	for name, opts := range map[string]inbox.Options{"none": {}, "both": {Handle: effect, HandleAll: each(effect)}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error(name, "is accepted")
				}
			}()
			inbox.Run(t.Context(), nil, opts)
		}()
	}
}

func TestABatchAtWorkAtTheEndIsFinishedWhole(t *testing.T) {
	f := open(t)
	begun := make(chan struct{}, 100)
	opts := f.batches(func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		begun <- struct{}{}
		time.Sleep(10 * time.Millisecond)
		return effect(ctx, tx, m)
	})
	var all []events.Message
	for n := range 40 {
		all = append(all, f.message("a", n))
	}
	f.publish(all...)
	first := f.run(opts)
	<-begun
	first.stop()
	done := len(f.effects("a"))
	second := f.run(opts)
	f.handledInOrder(40, "a")
	if n := second.metric(t, "inbox_events_total", "duplicate"); n != 0 || done == 0 {
		t.Errorf("%d were finished, %v delivered again", done, n)
	}
}

func TestUnwantedEventsLeaveNoNoteAndNoLag(t *testing.T) {
	f := open(t)
	opts := f.batches(effect)
	opts.Wants = func(kind string) bool { return kind != "souk.dull.v1" }
	var all []events.Message
	for n := range 50 {
		dull := f.message("dull", n)
		dull.Event.SetType("souk.dull.v1")
		all = append(all, dull, f.message("a", n))
	}
	f.publish(all...)
	if err := f.producer.PublishRecords(t.Context(), []events.Record{{Topic: f.topic, Key: []byte("b"), Value: []byte("no event")}}); err != nil {
		t.Fatal(err)
	}
	m := f.run(opts)
	f.handledInOrder(50, "a")
	f.parkedEvents(1)
	f.eventually("the lag is gone", func() bool {
		return m.metric(t, "inbox_lag") == 0 && m.metric(t, "inbox_events_total", "unwanted") == 50
	})
	if got := f.effects("dull"); len(got) > 0 || f.count("inbox") != 51 {
		t.Errorf("effects %v, %d notes", got, f.count("inbox"))
	}
}

func (f fixture) count(table string) (n int) {
	f.Helper()
	err := postgres.Read(f.Context(), f.pool, func(q postgres.Querier) error {
		return q.QueryRow(f.Context(), "SELECT count(*) FROM "+table).Scan(&n)
	})
	if err != nil {
		f.Fatal(err)
	}
	return n
}

// What Committed is told is stored, and each event once, also those of a replay.
func TestCommittedIsToldWhatIsStored(t *testing.T) {
	f := open(t)
	var mended atomic.Bool
	var mu sync.Mutex
	told := map[string]int{}
	opts := f.batches(func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		if m.Event.ID() == "a:3" && !mended.Load() {
			return inbox.Poison(errors.New("not yet"))
		}
		return effect(ctx, tx, m)
	})
	opts.Committed = func(ms []events.Message) {
		for _, m := range ms {
			if key, _, _ := strings.Cut(m.Event.ID(), ":"); len(f.effects(key)) == 0 {
				t.Errorf("%s is not stored", m.Event.ID())
			}
			mu.Lock()
			told[m.Event.ID()]++
			mu.Unlock()
		}
	}
	var all []events.Message
	for n := range 10 {
		all = append(all, f.message("a", n), f.message("b", n), f.message("b", n))
	}
	f.publish(all...)
	f.run(opts)
	f.handledInOrder(10, "b")
	f.parkedEvents(7)
	mended.Store(true)
	if _, err := inbox.Replay(t.Context(), f.pool, inbox.Filter{Group: f.group}); err != nil {
		t.Fatal(err)
	}
	f.handledInOrder(10, "a")
	f.eventually("all are told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) == 20
	})
	mu.Lock()
	defer mu.Unlock()
	for id, n := range told {
		if n != 1 {
			t.Errorf("%s is told %d times", id, n)
		}
	}
}

// A consumer that comes before the publisher makes the topic as it was agreed.
func TestAMissingTopicIsMadeAsCreateSays(t *testing.T) {
	f := open(t)
	missing := f.group + ".missing.v1"
	opts := f.batches(effect)
	opts.Topics = []string{missing}
	opts.Create = []events.Topic{{Name: missing, Partitions: 7, Replicas: 1}}
	m := f.run(opts)
	f.eventually("it has its partitions", func() bool { return m.metric(t, "inbox_partitions") == 7 })
	eventstest.Create(t, f.broker, events.Topic{Name: missing, Partitions: 7}) // it goes with the test
}
