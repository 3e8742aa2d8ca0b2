package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/inbox"
	"souk/internal/testenv"
)

// The tool has the test's schema from PGOPTIONS, as this program does.
func TestAnOperatorListsShowsDropsAndReplays(t *testing.T) {
	f := open(t)
	env := testenv.Start(t)
	souk := func(args ...string) string {
		t.Helper()
		out, err := env.Souk(t.Context(), append([]string{"dlq"}, args...)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	var mended atomic.Bool
	f.run(f.options(func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		if m.Event.ID() == "a:-1" || !mended.Load() {
			return inbox.Poison(errors.New("unknown currency"))
		}
		return effect(ctx, tx, m)
	}))
	f.publish(f.message("a", -1), f.message("a", 0), f.message("b", 0))
	f.parkedEvents(3)
	if out := souk("list", "--service", "probe"); strings.Count(out, f.topic) != 2 || !strings.Contains(out, "unknown currency") {
		t.Errorf("list: %s", out)
	}
	if out := souk("show", "probe", "--key", "a"); strings.Count(out, "ce_id: ") != 2 || !strings.Contains(out, "waits behind") {
		t.Errorf("show: %s", out)
	}
	shown, err := inbox.Show(t.Context(), f.pool, inbox.Filter{Key: "a"})
	if err != nil {
		t.Fatal(err)
	}
	mended.Store(true)
	souk("drop", "probe", "--id", fmt.Sprint(shown[0].ID))
	souk("replay", "probe", "--group", f.group)
	f.handledInOrder(1, "a", "b")
	f.parkedEvents(0)
}
