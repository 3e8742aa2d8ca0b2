package outbox_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"souk/internal/errs"
	"souk/internal/events"
	"souk/internal/outbox"
	"souk/internal/postgres"
)

// More than one statement takes, whose events have attributes of their own.
func TestEventsQueuedWithAChangeArePublishedInOrder(t *testing.T) {
	f := open(t)
	f.exec("CREATE TABLE changes (n int)")
	const each = 60
	var all []events.Message
	for n := range each {
		for key := range 2 {
			m := f.message(fmt.Sprint(key), n)
			if n%3 == 0 {
				m.Event.SetSubject(fmt.Sprint("subject", n))
			}
			if n%7 == key {
				m.Event.DataEncoded = nil
			}
			all = append(all, m)
		}
	}
	err := postgres.Tx(t.Context(), f.pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("INSERT INTO changes VALUES (1)")
		if err := outbox.Queue(t.Context(), batch, all...); err != nil {
			return err
		}
		batch.Queue("INSERT INTO changes VALUES (2)")
		return tx.SendBatch(t.Context(), batch).Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	f.relay(f.options(f.broker))
	f.drained()
	got := f.published()
	f.orderly(got, 2, each)
	next := map[string]int{}
	for _, m := range got {
		n := next[m.Key]
		next[m.Key]++
		want := ""
		if n%3 == 0 {
			want = fmt.Sprint("subject", n)
		}
		if m.Event.Subject() != want || (len(m.Event.Data()) == 0) != (fmt.Sprint(n%7) == m.Key) {
			t.Fatalf("%s of %s is %v", m.Event.ID(), m.Key, m.Event)
		}
	}
}

func TestAFullOutboxRefusesAQueuedChangeWhole(t *testing.T) {
	f := open(t)
	f.exec("CREATE TABLE changes (n int)")
	f.exec("UPDATE outbox_state SET full_up = true")
	err := postgres.Tx(t.Context(), f.pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("INSERT INTO changes VALUES (1)")
		if err := outbox.Queue(t.Context(), batch, f.message("a", 0)); err != nil {
			return err
		}
		batch.Queue("INSERT INTO changes VALUES (2)")
		return tx.SendBatch(t.Context(), batch).Close()
	})
	if errs.CodeOf(err) != "events-backlog" {
		t.Errorf("%v", err)
	}
	if err := f.try(); err != nil {
		t.Errorf("nothing to append is refused: %v", err)
	}
}
