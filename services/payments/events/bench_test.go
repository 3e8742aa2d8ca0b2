package events_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	kafka "souk/internal/events"
	"souk/services/payments/app"
	"souk/services/payments/provider/sandbox"
)

// BenchmarkAuthoriseAndCapture pays orders that come over four partitions in batches of 10, and shows this process's CPU time
// for one: the service's and the bank's, PostgreSQL's not.
func BenchmarkAuthoriseAndCapture(b *testing.B) {
	c := open(b)
	b.ResetTimer()
	before := cpu(b)
	var partitions sync.WaitGroup
	const batch = 10
	for p := range 4 {
		partitions.Go(func() {
			var orders []order
			for n := p * batch; n < b.N; n += 4 * batch {
				var ms []kafka.Message
				for range min(batch, b.N-n) {
					o := newOrder(100, sandbox.Approve)
					orders, ms = append(orders, o), append(ms, o.authorise())
				}
				c.obey(ms...)
				if len(orders) > 20*batch { // those before are authorised by now
					c.capture(orders[:batch])
					orders = orders[batch:]
				}
			}
			for ; len(orders) > 0; orders = orders[min(batch, len(orders)):] {
				c.capture(orders[:min(batch, len(orders))])
			}
		})
	}
	partitions.Wait()
	for c.count("SELECT count(*) FROM operations") > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "µs-CPU/order")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
	b.StopTimer()
	if n := c.count("SELECT count(*) FROM intents WHERE status = 'captured'"); n != b.N {
		b.Errorf("%d of %d are captured", n, b.N)
	}
}

// capture waits until the first is authorised, and so, or about to be, the others of its batch.
func (c *checkout) capture(orders []order) {
	var ms []kafka.Message
	for _, o := range orders {
		c.becomes(o, app.IsAuthorised)
		ms = append(ms, o.capture())
	}
	c.obey(ms...)
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
