package outbox_test

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/events"
)

// fill puts events of 500 bytes into the outbox, of a thousand keys.
func (f fixture) fill(count int) {
	f.Helper()
	f.exec(`INSERT INTO outbox (topic, key, headers, value) SELECT $1, (n / 100) % 1000,
		ARRAY['ce_id', ((n / 100) % 1000) || ':' || n, 'ce_source', '/test', 'ce_specversion', '1.0', 'ce_type', 'souk.test.v1',
			'content-type', 'application/json']::text[]::bytea[], convert_to('{"n":"' || repeat('x', 490) || '"}', 'UTF8')
		FROM generate_series(0, $2 - 1) n`, f.topic, count)
}

func TestABacklogOf100000DrainsInLittleMemory(t *testing.T) {
	f := open(t)
	const count = 100_000
	f.fill(count)
	var before, peak runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	registry, opts := prometheus.NewRegistry(), f.options(f.broker)
	opts.Metrics = registry
	f.relay(opts)
	for f.waiting() > 0 {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		if now.HeapAlloc > peak.HeapAlloc {
			peak = now
		}
		time.Sleep(20 * time.Millisecond)
	}
	took := time.Since(began)
	grown := int64(peak.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d events in %s, %.0f/s; the heap grew by %d MB at most", count, took.Round(time.Millisecond), count/took.Seconds(), grown>>20)
	if grown > 64<<20 {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	if n := published(t, registry); n < count {
		t.Errorf("%v events were published", n)
	}
}

// published is what the relay has counted.
func published(t *testing.T, r *prometheus.Registry) (n float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "outbox_published_total" {
			n = family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return n
}

// How long from the end of a transaction to the event at a reader, and what a relay
// costs that has nothing to do: figures, no limits.
func TestDelayAndIdleCost(t *testing.T) {
	f := open(t)
	f.relay(f.options(f.broker))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f.append(f.message("warm", 0))
	f.drained()
	r, err := events.Read(ctx, []string{f.broker}, f.options("").Log, f.topic)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(ctx); err != nil {
		t.Fatal(err)
	}
	total := time.Duration(0)
	const rounds = 40
	for n := range rounds {
		f.append(f.message(fmt.Sprint("k", n), 0))
		began := time.Now()
		if _, err := r.Next(ctx); err != nil {
			t.Fatal(err)
		}
		total += time.Since(began)
	}
	before := cpu(t)
	time.Sleep(4 * time.Second)
	t.Logf("commit to reader: %s; idle: %.2f %% of a core, the reader's included", (total / rounds).Round(100*time.Microsecond),
		100*(cpu(t)-before).Seconds()/4)
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
