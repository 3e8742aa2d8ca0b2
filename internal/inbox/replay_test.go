package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/inbox"
)

func TestPoisonParksItsKeyInOrderAndReplayGoesOnFromThere(t *testing.T) {
	f := open(t)
	var mended atomic.Bool
	handle := func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		if m.Event.ID() == "a:2" && !mended.Load() {
			return errors.Join(effect(ctx, tx, m), inbox.Poison(errors.New("unknown currency")))
		}
		return effect(ctx, tx, m)
	}
	f.run(f.options(handle))
	f.run(f.options(handle))
	for n := range 5 {
		f.publish(f.message("a", n), f.message("b", n), f.message("a", n)) // a repetition is not parked twice
	}
	f.handledInOrder(5, "b")
	f.handledInOrder(2, "a")
	f.parkedEvents(3)
	for i, letter := range f.letters(3) {
		reason, cause := "behind", ""
		if i == 0 {
			reason, cause = "poison", "unknown currency"
		}
		if letter["ce_id"] != fmt.Sprint("a:", i+2) || letter[inbox.HeaderReason] != reason || letter[inbox.HeaderError] != cause {
			t.Errorf("letter %d: %v", i, letter)
		}
	}

	// Not mended yet: it stays as it is.
	filter := inbox.Filter{Group: f.group, Topic: f.topic, Key: "a"}
	replay := func() {
		t.Helper()
		if n, err := inbox.Replay(t.Context(), f.pool, filter); err != nil || n != 1 {
			t.Fatal(n, err)
		}
	}
	replay()
	f.eventually("the replay fails", func() bool { return !f.parked()[0].Replaying })
	shown, err := inbox.Show(t.Context(), f.pool, filter)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range shown {
		if m, err := e.Record.Decode(); err != nil || m.Event.ID() != fmt.Sprint("a:", i+2) {
			t.Errorf("event %d: %v, %v", i, m.Event, err)
		}
	}
	if len(shown) != 3 || shown[0].Attempts != 2 || shown[0].Error != "unknown currency" || shown[1].Error != "" {
		t.Errorf("shown: %+v", shown)
	}

	mended.Store(true)
	f.publish(f.message("a", 5))
	f.parkedEvents(4)
	replay()
	f.publish(f.message("a", 6))
	f.handledInOrder(7, "a")
	f.parkedEvents(0)
	f.publish(f.message("a", 7))
	f.handledInOrder(8, "a")
}

// What arrives while the key is replayed and in the moment of its release.
func TestEventsThatArriveDuringAReplayKeepTheirOrder(t *testing.T) {
	f := open(t)
	var mended atomic.Bool
	handle := func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		if m.Event.ID()[1:] == ":0" && !mended.Load() {
			return inbox.Poison(errors.New("not yet"))
		}
		return effect(ctx, tx, m)
	}
	for range 3 {
		f.run(f.options(handle))
	}
	const each = 300
	keys := []string{"a", "b", "c"}
	for n := range each {
		f.publish(f.message("a", n), f.message("b", n), f.message("c", n))
		if n == each/5 {
			mended.Store(true)
		}
		if n > each/5 && n%5 == 0 {
			if _, err := inbox.Replay(t.Context(), f.pool, inbox.Filter{Group: f.group}); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.eventually("nothing is parked", func() bool {
		if _, err := inbox.Replay(t.Context(), f.pool, inbox.Filter{Group: f.group}); err != nil {
			t.Fatal(err)
		}
		return len(f.parked()) == 0
	})
	f.handledInOrder(each, keys...)
}

func TestDroppingThePoisonLetsTheRestBeReplayed(t *testing.T) {
	f := open(t)
	f.run(f.options(func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		if m.Event.ID() == "a:-1" {
			return inbox.Poison(errors.New("never"))
		}
		return effect(ctx, tx, m)
	}))
	f.publish(f.message("a", -1), f.message("a", 0), f.message("a", 1))
	f.parkedEvents(3)
	shown, err := inbox.Show(t.Context(), f.pool, inbox.Filter{Group: f.group})
	if err != nil {
		t.Fatal(err)
	}
	if err := inbox.Drop(t.Context(), f.pool, shown[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := inbox.Replay(t.Context(), f.pool, inbox.Filter{Group: f.group}); err != nil {
		t.Fatal(err)
	}
	f.handledInOrder(2, "a")
	f.parkedEvents(0)
	f.publish(f.message("a", -1)) // a repetition of what was dropped
	f.publish(f.message("a", 2))
	f.handledInOrder(3, "a")
	if p := f.parked(); len(p) > 0 {
		t.Errorf("parked: %v", p)
	}
}

func TestWhatIsParkedIsRememberedForEverAndTheRestForAWhile(t *testing.T) {
	f := open(t)
	f.run(f.options(func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		if m.Key == "a" {
			return inbox.Poison(errors.New("never"))
		}
		return effect(ctx, tx, m)
	}))
	f.publish(f.message("a", 0), f.message("b", 0))
	f.handledInOrder(1, "b")
	f.parkedEvents(1)
	f.exec("UPDATE inbox SET settled_at = now() - interval '31 days'")
	n, err := inbox.Forget(t.Context(), f.pool, f.group, 30*24*time.Hour)
	if err != nil || n != 1 {
		t.Errorf("forgot %d: %v", n, err)
	}
}
