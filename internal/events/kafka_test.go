package events_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"souk/internal/events"
	"souk/internal/events/eventstest"
	"souk/internal/testenv"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// topic makes one of its own for the test.
func topic(t *testing.T, broker string, partitions int) string {
	t.Helper()
	name := "test.events." + rand.Text()
	eventstest.Create(t, broker, events.Topic{Name: name, Partitions: partitions})
	return name
}

func open(t *testing.T, broker, id string) *events.Producer {
	t.Helper()
	p, err := events.Open(t.Context(), events.Options{Brokers: []string{broker}, ClientID: "test", TransactionalID: id, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func message(topic, key string, n int) events.Message {
	return events.Message{Topic: topic, Key: key, Event: events.New(fmt.Sprintf("%s-%d", key, n), "/test", "souk.test.v1", []byte(fmt.Sprint(n)))}
}

// read gives the ids of the first n events of a topic, and fails if there are not as many.
func read(t *testing.T, broker, topic string, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := events.Read(ctx, []string{broker}, quiet(), topic)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var ids []string
	for range n {
		m, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("after %v: %v", ids, err)
		}
		ids = append(ids, m.Event.ID())
	}
	return ids
}

func TestEventsOfAKeyStayInOrder(t *testing.T) {
	broker := testenv.Start(t).KafkaBroker()
	topic := topic(t, broker, 3)
	p := open(t, broker, rand.Text())
	const keys, each = 5, 40
	for batch := range 4 {
		var all []events.Message
		for n := batch * each / 4; n < (batch+1)*each/4; n++ {
			for k := range keys {
				all = append(all, message(topic, fmt.Sprint("k", k), n))
			}
		}
		if err := p.Publish(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	next := map[string]int{}
	for _, id := range read(t, broker, topic, keys*each) {
		key := id[:2]
		if want := fmt.Sprintf("%s-%d", key, next[key]); id != want {
			t.Fatalf("got %s, want %s", id, want)
		}
		next[key]++
	}
}

func TestAnOlderProducerIsFenced(t *testing.T) {
	broker := testenv.Start(t).KafkaBroker()
	topic := topic(t, broker, 1)
	id := rand.Text()
	older := open(t, broker, id)
	if err := older.Publish(t.Context(), []events.Message{message(topic, "older", 1)}); err != nil {
		t.Fatal(err)
	}
	newer := open(t, broker, id)
	if err := older.Publish(t.Context(), []events.Message{message(topic, "older", 2)}); !errors.Is(err, events.ErrFenced) {
		t.Errorf("the older one got %v, want ErrFenced", err)
	}
	if err := newer.Publish(t.Context(), []events.Message{message(topic, "newer", 1)}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(read(t, broker, topic, 2)); got != "[older-1 newer-1]" {
		t.Errorf("readers see %s", got)
	}
}

func TestABatchThatCanNotBePublishedWholeIsNotPublished(t *testing.T) {
	broker := testenv.Start(t).KafkaBroker()
	topic := topic(t, broker, 1)
	id := rand.Text()
	p := open(t, broker, id)
	err := p.Publish(t.Context(), []events.Message{message(topic, "a", 1), message("test.events.no-such-topic", "a", 2)})
	if err == nil {
		t.Fatal("a topic that doesn't exist was published to")
	}
	p.Close()
	if err := open(t, broker, id).Publish(t.Context(), []events.Message{message(topic, "b", 1)}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(read(t, broker, topic, 1)); got != "[b-1]" {
		t.Errorf("readers see %s first", got)
	}
}

func TestEnsuringATopicAgainLeavesItAsItIs(t *testing.T) {
	broker := testenv.Start(t).KafkaBroker()
	topic := topic(t, broker, 2)
	err := events.EnsureTopics(t.Context(), []string{broker}, "test", quiet(), events.Topic{Name: topic, Partitions: 5})
	if err != nil {
		t.Error(err)
	}
}

// deadBroker takes connections and says nothing.
func deadBroker(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestABrokerThatIsSilentDoesNotHoldUsUp(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for deadlines; -short leaves it out")
	}
	broker := deadBroker(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	if p, err := events.Open(ctx, events.Options{Brokers: []string{broker}, ClientID: "test", TransactionalID: "x", Log: quiet()}); err == nil {
		p.Close()
		t.Error("it opened")
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := events.EnsureTopics(ctx, []string{broker}, "test", quiet(), events.Topic{Name: "x", Partitions: 1}); err == nil {
		t.Error("a topic was made")
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if r, err := events.Read(ctx, []string{broker}, quiet(), "x"); err == nil {
		r.Close()
		t.Error("it was read from")
	}
	// Three calls of a second, each closed in three at most.
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}
