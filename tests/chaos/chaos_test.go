package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"souk/internal/events"
)

const (
	buyersAtAll = 1000
	pieces      = 100
	deliveries  = 10               // in which the pieces come in, so that there is something to fight for all the time
	window      = 50 * time.Second // in which the faults fall
	buyLimit    = 90 * time.Second // after the last fault, until everything is sold
	replayLimit = 3 * time.Minute  // for three times everything that the round published
)

// TestChaosSellsEveryPieceOnceAndChargesForItOnce is a round for each of SOUK_CHAOS_ROUNDS (1), with seeds that follow from
// SOUK_CHAOS_SEED (1).
func TestChaosSellsEveryPieceOnceAndChargesForItOnce(t *testing.T) {
	s := up(t)
	seed, rounds := number(t, "SOUK_CHAOS_SEED", 1), number(t, "SOUK_CHAOS_ROUNDS", 1)
	for i := range rounds {
		if !t.Run(fmt.Sprintf("seed %d", seed+i), func(t *testing.T) { round(t, s, seed+i) }) {
			return // what another round would find may come from this one
		}
	}
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatalf("%s=%q is not a number", name, text)
	}
	return n
}

func round(t *testing.T, s *stack, seed uint64) {
	ctx := t.Context()
	began := time.Now()
	shop := newShop(s.GatewayURL())
	if err := s.healed(ctx); err != nil {
		t.Fatal(err)
	}
	from, err := s.now()
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGoods(ctx, s, shop, seed)
	if err != nil {
		t.Fatal(err)
	}
	users := newUsers(ctx, t, s, shop)
	t.Logf("seed %d: %d users and the product %s are there after %s", seed, len(users), g.sku, since(began))

	r := &result{t: t, seed: seed}
	defer func() { r.print(since(began)) }()
	h, lastFault := storm(t, s, shop, g, users, r)
	settled := endLimit + time.Until(lastFault)
	drained, cancel := context.WithTimeout(ctx, max(settled, 0)+endLimit)
	defer cancel()
	if err := s.drain(drained, g); err != nil {
		t.Errorf("not everything has ended: %v", err)
	}
	r.note("drained", "%s after the last fault", since(lastFault))
	t.Cleanup(func() { keep(t, h) })

	b, err := s.read(ctx, g, pieces)
	if err != nil {
		t.Fatal(err)
	}
	b.lastFault = lastFault
	r.tell(h, b)
	for _, c := range checks {
		r.verdict(c.name, c.of(h, b))
	}
	replay(t, s, from, r)
	rebuild(t, s, r)
	reconcile(t, s, b, r)
}

// storm lets the buyers in and the faults fall, and comes back when everything is healthy and all is sold, or nobody can
// hope any more.
func storm(t *testing.T, s *stack, shop shop, g goods, users []user, r *result) (*history, time.Time) {
	ctx, over := context.WithCancel(t.Context())
	defer over()
	began := time.Now()
	var delivered atomic.Int64
	if err := deliver(ctx, s, shop, g); err != nil { // the first pieces
		t.Fatal(err)
	}
	delivered.Add(1)
	c := &crowd{shop: shop, goods: g, history: &history{}}
	c.coming.Store(buyersAtAll)
	var all, supply sync.WaitGroup
	for i := range buyersAtAll {
		r := rand.New(rand.NewPCG(r.seed, uint64(i)))
		b := &buyer{crowd: c, number: i, user: users[i%len(users)], method: draw(r)}
		arrival := time.Duration(r.Int64N(int64(window * 2 / 3)))
		all.Go(func() { b.run(ctx, arrival) })
	}
	supply.Go(func() {
		for i := 1; i < deliveries && pause(ctx, time.Until(began.Add(window*time.Duration(i)/deliveries))); i++ {
			if err := deliver(ctx, s, shop, g); err != nil {
				t.Errorf("a delivery: %v", err)
				return
			}
			delivered.Add(1)
		}
	})
	lastFault := strike(ctx, t, s, schedule(r.seed, window), began, r)
	if err := s.healed(ctx); err != nil {
		t.Errorf("after the last fault: %v", err)
	}
	r.note("healthy", "%s after the last fault", since(lastFault))

	limit, cancel := context.WithDeadline(ctx, lastFault.Add(buyLimit))
	defer cancel()
	c.supervise(limit, func() bool { return delivered.Load() == deliveries })
	r.note("sold out", "%s after the last fault, %d buyers were still at it", since(lastFault), c.active.Load())
	over()
	all.Wait()
	supply.Wait()
	r.note("buyers", "%d, of whom %d got a piece", buyersAtAll, c.bought.Load())
	r.surprised(c.surprises)
	return c.history, lastFault
}

// deliver puts pieces into stock, once.
func deliver(ctx context.Context, s *stack, shop shop, g goods) error {
	token, err := s.operator.Token()
	for err != nil && pause(ctx, 300*time.Millisecond) {
		token, err = s.operator.Token()
	}
	if err != nil {
		return err
	}
	body := map[string]any{"delta": pieces / deliveries, "reason": "received"}
	return shop.as(token.AccessToken).insist(ctx, http.MethodPost, "/v1/inventory/"+g.sku+"/adjustments", body, nil, "Idempotency-Key", uuid.NewString())
}

// strike kills one after the other, and returns when it did the last time.
func strike(ctx context.Context, t *testing.T, s *stack, faults []fault, began time.Time, r *result) (last time.Time) {
	t.Helper()
	var did []string
	for _, f := range faults {
		pause(ctx, time.Until(began.Add(f.at)))
		_, err := s.kill(ctx, f.job)
		last = time.Now()
		if err != nil {
			t.Errorf("kill %s: %v", f.job, err)
			continue
		}
		did = append(did, fmt.Sprintf("%s %s", since(began), f.job))
	}
	r.note("kill -9", "%s", strings.Join(did, ", "))
	return last
}

// replay publishes what the round wrote to every topic twice more, the second time with the keys in another order, and then every command under
// a new id, as services do that ask again: nothing may change.
func replay(t *testing.T, s *stack, from mark, r *result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), replayLimit)
	defer cancel()
	began := time.Now()
	if err := s.caughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	before, err := s.hashes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.recorded(ctx, from)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d events: %v", len(all), err)
	}
	commands := slices.DeleteFunc(slices.Clone(all), func(m events.Record) bool { return !strings.Contains(m.Topic, ".commands.") })
	for _, again := range []struct {
		name   string
		events []events.Record
	}{
		{"every topic again changes nothing", all},
		{"every topic again, keys mixed, changes nothing", permuted(r.seed, all)},
		{"every command under a new id changes nothing", anew(commands)},
	} {
		if err := s.publish(ctx, again.events); err != nil {
			t.Fatal(err)
		}
		if err := s.caughtUp(ctx); err != nil {
			t.Fatal(err)
		}
		after, err := s.hashes(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r.verdict(fmt.Sprintf("%s (%d events)", again.name, len(again.events)), changed(before, after))
	}
	r.note("replayed", "in %s", since(began))
}

// reconcile runs `souk reconcile` when the last change is a minute ago, so that it leaves nothing out.
func reconcile(t *testing.T, s *stack, b *books, r *result) {
	t.Helper()
	var last time.Time
	for _, o := range b.orders {
		if o.changed.After(last) {
			last = o.changed
		}
	}
	pause(t.Context(), time.Until(last.Add(61*time.Second)))
	out, err := s.Souk(t.Context(), "reconcile")
	var bad []string
	if err != nil {
		bad = append(bad, err.Error()+"\n"+out)
	}
	if !strings.Contains(out, "The books agree") {
		bad = append(bad, "it does not say that the books agree")
	}
	r.verdict("souk reconcile finds no difference", bad)
}

// rebuild has every order folded anew from its events.
func rebuild(t *testing.T, s *stack, r *result) {
	t.Helper()
	out, err := s.Souk(t.Context(), "rebuild", "orders")
	var bad []string
	if err != nil || !strings.Contains(out, "mended 0\n") {
		bad = append(bad, fmt.Sprintf("%v: %s", err, out))
	}
	r.verdict("orders are what their events say (souk rebuild)", bad)
}

// keep writes what the buyers saw where the test's artifacts go, if it failed.
func keep(t *testing.T, h *history) {
	if !t.Failed() {
		return
	}
	file, err := os.Create(filepath.Join(t.ArtifactDir(), "history.jsonl"))
	if err != nil {
		t.Log(err)
		return
	}
	defer file.Close()
	enc := json.NewEncoder(file)
	for _, c := range h.calls {
		if err := enc.Encode(c); err != nil {
			t.Log(err)
			return
		}
	}
	t.Logf("what the buyers saw: %s (go test -artifacts keeps it)", file.Name())
}

func since(t time.Time) time.Duration { return time.Since(t).Round(100 * time.Millisecond) }

// result is the summary of a round.
type result struct {
	t    *testing.T
	seed uint64
	rows [][2]string
}

func (r *result) note(name, format string, args ...any) {
	r.rows = append(r.rows, [2]string{name, fmt.Sprintf(format, args...)})
}

// shown is how much of what is wrong is shown.
const shown = 10

func (r *result) verdict(name string, bad []string) {
	r.t.Helper()
	if len(bad) == 0 {
		r.note(name, "yes")
		return
	}
	r.note(name, "NO: %d", len(bad))
	for _, b := range bad[:min(shown, len(bad))] {
		r.t.Errorf("%s: %s", name, b)
	}
	if more := len(bad) - shown; more > 0 {
		r.t.Errorf("%s: and %d more", name, more)
	}
}

// surprised counts answers that no buyer should have got.
func (r *result) surprised(what []string) {
	counts := map[string]int{}
	for _, w := range what {
		counts[w]++
	}
	var bad []string
	for w, n := range counts {
		bad = append(bad, fmt.Sprintf("%d times %s", n, w))
	}
	slices.Sort(bad)
	r.verdict("no buyer got an answer that makes no sense", bad)
}

// tell says what there was.
func (r *result) tell(h *history, b *books) {
	r.note("calls to place an order", "%d ok, %d refused, %d unknown; %d purchases", h.count(ok), h.count(refused), h.count(unknown), len(h.purchases()))
	ends := map[string]int{}
	for _, o := range b.orders {
		ends[strings.TrimSpace(o.status+" "+o.reason)]++
	}
	var parts []string
	for end, n := range ends {
		parts = append(parts, fmt.Sprintf("%d %s", n, end))
	}
	slices.Sort(parts)
	r.note("orders", "%d: %s", len(b.orders), strings.Join(parts, ", "))
	r.note("stock", "%d sold, %d available, %d reserved", b.stock.sold, b.stock.available, b.stock.reserved)
}

func (r *result) print(took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %s\n", r.seed, took)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range r.rows {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	w.Flush()
	r.t.Log(b.String())
}
