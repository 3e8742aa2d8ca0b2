package events_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"souk/internal/events"
)

func selfCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
func pidCPU(pid string) time.Duration {
	b, _ := os.ReadFile("/proc/" + pid + "/stat")
	f := strings.Fields(string(b[strings.LastIndex(string(b), ")")+2:]))
	var a, c int64
	fmt.Sscan(f[11], &a)
	fmt.Sscan(f[12], &c)
	return time.Duration(a+c) * 10 * time.Millisecond
}

func TestZZCost(t *testing.T) {
	pid := os.Getenv("ZZ_PID")
	if pid == "" {
		t.Skip()
	}
	broker := []string{"127.0.0.1:29092"}
	ctx := context.Background()
	log := slog.New(slog.DiscardHandler)
	for _, parts := range []int{1, 4} {
		var topics []events.Topic
		for i := range 3 {
			topics = append(topics, events.Topic{Name: fmt.Sprintf("t%d-%d", parts, i), Partitions: parts})
		}
		if err := events.EnsureTopics(ctx, broker, "x", log, topics...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		measure := func(name string, batch, rounds int, every time.Duration, publish func([]events.Message) error) {
			run := func(rounds int) (self, kafka time.Duration, lat time.Duration) {
				s, k := selfCPU(), pidCPU(pid)
				for r := range rounds {
					var ms []events.Message
					for i := range batch {
						ms = append(ms, events.Message{Topic: topics[i%3].Name, Key: fmt.Sprint(r*batch + i), Event: events.New(fmt.Sprint(r, i), "/x", "souk.test.v1", []byte(`{"x":"`+strings.Repeat("y", 300)+`"}`))})
					}
					b := time.Now()
					if err := publish(ms); err != nil {
						t.Fatal(err)
					}
					d := time.Since(b)
					lat += d
					time.Sleep(max(0, every-d))
				}
				return selfCPU() - s, pidCPU(pid) - k, lat / time.Duration(rounds)
			}
			run(rounds / 2)
			self, k, lat := run(rounds)
			fmt.Printf("parts %2d %-14s batch %3d: per batch: self %6.0f us, kafka %6.0f us, latency %s; per event %.0f us\n", parts, name, batch, float64(self.Microseconds())/float64(rounds), float64(k.Microseconds())/float64(rounds), lat.Round(100*time.Microsecond), float64((self+k).Microseconds())/float64(rounds*batch))
		}
		tx, err := events.Open(ctx, events.Options{Brokers: broker, ClientID: "x", TransactionalID: fmt.Sprint("x", parts), Log: log})
		if err != nil {
			t.Fatal(err)
		}
		p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": broker[0], "enable.idempotence": true, "acks": "all", "compression.type": "lz4", "go.delivery.reports": false})
		if err != nil {
			t.Fatal(err)
		}
		plain := func(ms []events.Message) error {
			for _, m := range ms {
				r, _ := events.Encode(m)
				hs := make([]kafka.Header, len(r.Headers))
				for i, h := range r.Headers {
					hs[i] = kafka.Header{Key: h.Key, Value: h.Value}
				}
				if err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &r.Topic, Partition: kafka.PartitionAny}, Key: r.Key, Value: r.Value, Headers: hs}, nil); err != nil {
					return err
				}
			}
			for p.Flush(1000) > 0 {
			}
			return nil
		}
		for _, batch := range []int{10, 60} {
			measure("transaction", batch, 200, 50*time.Millisecond, func(ms []events.Message) error { return tx.Publish(ctx, ms) })
			measure("plain", batch, 200, 50*time.Millisecond, plain)
		}
		tx.Close()
		p.Close()
	}
	s, k := selfCPU(), pidCPU(pid)
	time.Sleep(5 * time.Second)
	fmt.Printf("idle 5 s: self %s kafka %s\n", selfCPU()-s, pidCPU(pid)-k)
}
