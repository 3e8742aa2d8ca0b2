package inbox_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/inbox"
)

// BenchmarkConsuming compares events one by one with batches, of a handler that stores a
// row for each: events a second, and CPU time of this process for each event.
func BenchmarkConsuming(b *testing.B) {
	for name, set := range map[string]func(*inbox.Options){
		"single": func(o *inbox.Options) { o.Handle = effect },
		"batch":  func(o *inbox.Options) { o.HandleAll = effects },
	} {
		b.Run(name, func(b *testing.B) {
			f := open(b)
			const keys = 1000
			for n := 0; n < b.N; {
				var portion []events.Message
				for ; n < b.N && len(portion) < 2000; n++ {
					m := f.message(fmt.Sprint("k", n%keys), n/keys)
					m.Event.DataEncoded = []byte(`{"x":"` + strings.Repeat("x", 300) + `"}`)
					portion = append(portion, m)
				}
				f.publish(portion...)
			}
			opts := f.options(nil)
			set(&opts)
			before, began := cpu(b), time.Now()
			b.ResetTimer()
			m := f.run(opts)
			f.eventually("all are handled", func() bool { return m.metric(b, "inbox_events_total", "handled") == float64(b.N) })
			b.StopTimer()
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "events/s")
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "µs-cpu/event")
			b.ReportMetric(float64(b.N)/m.metric(b, "inbox_batches_total"), "events/batch")
		})
	}
}

// effects is effect for a batch, with one statement.
func effects(ctx context.Context, tx pgx.Tx, ms []events.Message) error {
	keys, numbers := make([]string, len(ms)), make([]string, len(ms))
	for i, m := range ms {
		keys[i], numbers[i], _ = strings.Cut(m.Event.ID(), ":")
	}
	_, err := tx.Exec(ctx, "INSERT INTO effects (key, n) SELECT key, n::int FROM unnest($1::text[], $2::text[]) AS new (key, n)", keys, numbers)
	return err
}

func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
