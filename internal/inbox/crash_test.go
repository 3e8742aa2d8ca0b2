package inbox_test

import (
	"context"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/events"
	"souk/internal/events/eventstest"
	"souk/internal/inbox"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
)

const (
	memberGroup  = "SOUK_TEST_INBOX_GROUP"
	memberTopic  = "SOUK_TEST_INBOX_TOPIC"
	memberBroker = "SOUK_TEST_INBOX_BROKER"
	memberPause  = "SOUK_TEST_INBOX_PAUSE" // within the handler
)

// TestMain can be a member of a group, so that a process of its own can be killed.
func TestMain(m *testing.M) {
	if os.Getenv(memberGroup) == "" {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	pool, _, err := postgrestest.Dial(ctx, postgres.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pause, err := time.ParseDuration(os.Getenv(memberPause))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	inbox.Run(ctx, pool, inbox.Options{
		Group: os.Getenv(memberGroup), Topics: []string{os.Getenv(memberTopic)}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		Brokers: func(context.Context) ([]string, error) { return []string{os.Getenv(memberBroker)}, nil },
		Batch:   10,
		HandleAll: each(func(ctx context.Context, tx pgx.Tx, m events.Message) error {
			time.Sleep(pause)
			return effect(ctx, tx, m)
		}),
	})
}

// process starts a member of its own.
func (f fixture) process(pause time.Duration) (p *os.Process, kill func()) {
	f.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), memberGroup+"="+f.group, memberTopic+"="+f.topic, memberBroker+"="+f.broker, memberPause+"="+pause.String())
	cmd.Stderr = f.Output()
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	f.Cleanup(kill)
	return cmd.Process, kill
}

func TestAConsumerKilledBeforeItStoredTheOffsetRepeatsNothing(t *testing.T) {
	f := open(t)
	const each = 30
	for n := range each {
		f.publish(f.message("a", n), f.message("b", n))
	}
	_, kill := f.process(5 * time.Millisecond)
	// Offsets are committed every second: these are not when it dies.
	f.eventually("it has begun", func() bool { return len(f.effects("a")) >= 5 })
	kill()
	done := len(f.effects("a")) + len(f.effects("b"))
	m := f.run(f.batches(effect))
	f.handledInOrder(each, "a", "b")
	if n := m.metric(t, "inbox_events_total", "duplicate"); n == 0 {
		t.Error("no event was delivered again: nothing was shown")
	} else {
		t.Logf("killed after %d effects; %v were delivered again", done, n)
	}
}

// A member that is suspended is taken for dead, and then wakes up with the event in hand.
func TestAMemberThatWakesUpAfterItsPartitionsWentDoesNoHarm(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a session to end")
	}
	f := open(t)
	const each = 40
	for n := range each {
		f.publish(f.message("a", n), f.message("b", n))
	}
	p, kill := f.process(20 * time.Millisecond)
	f.eventually("it has begun", func() bool { return len(f.effects("a"))+len(f.effects("b")) >= 10 })
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f.run(f.batches(effect))
	f.eventually("the other took over", func() bool { return len(f.effects("a")) == each || len(f.effects("b")) == each })
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	f.handledInOrder(each, "a", "b")
	for n := range each {
		f.publish(f.message("c", n))
	}
	f.handledInOrder(each, "c")
	kill()
	f.handledInOrder(each, "a", "b", "c")
}

func TestMembersThatComeGoAndAreKilledUnderLoadLoseAndRepeatNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	f := open(t)
	const keys = 8
	var names []string
	for k := range keys {
		names = append(names, fmt.Sprint("k", k))
	}
	stop := make(chan struct{})
	published := make(chan int, 1)
	go func() {
		n := 0
		defer func() { published <- n }()
		for ; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			var all []events.Message
			for _, name := range names {
				all = append(all, f.message(name, n))
			}
			if err := f.producer.Publish(f.Context(), all); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	slow := func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		time.Sleep(mathrand.N(3 * time.Millisecond))
		return effect(ctx, tx, m)
	}
	var members []member
	for round := range 7 {
		_, kill := f.process(time.Millisecond)
		members = append(members, f.run(f.batches(slow)))
		time.Sleep(500*time.Millisecond + mathrand.N(time.Second))
		if round > 1 {
			members[round-2].stop()
		}
		kill()
	}
	close(stop)
	each := <-published
	f.handledInOrder(each, names...)
	t.Logf("%d events", each*keys)
}

func TestKafkaAwayAndBack(t *testing.T) {
	f := open(t)
	proxy := eventstest.NewProxy(t, f.broker)
	opts := f.batches(effect)
	opts.Brokers = func(context.Context) ([]string, error) { return []string{proxy.Addr}, nil }
	f.run(opts)
	n := 0
	for range 4 {
		for range 30 {
			f.publish(f.message("a", n), f.message("b", n))
			n++
		}
		proxy.Cut()
		for range 30 {
			f.publish(f.message("a", n), f.message("b", n))
			n++
		}
		time.Sleep(300 * time.Millisecond)
		proxy.Mend()
	}
	f.handledInOrder(n, "a", "b")
}

// Not even an event that would be parked is, when the fault is the database's.
func TestPostgreSQLAwayAndBack(t *testing.T) {
	f := open(t)
	opts := f.batches(effect)
	opts.Attempts = 1
	f.run(opts)
	n := 0
	for range 3 {
		for range 20 {
			f.publish(f.message("a", n), f.message("b", n))
			n++
		}
		mend := postgrestest.Cut(t, f.pool)
		for range 20 {
			f.publish(f.message("a", n), f.message("b", n))
			n++
		}
		time.Sleep(3 * time.Second)
		mend()
	}
	f.handledInOrder(n, "a", "b")
	if p := f.parked(); len(p) > 0 {
		t.Errorf("parked: %+v", p)
	}
}

func TestWhatIsAtWorkIsFinishedAtTheEndAndCommitted(t *testing.T) {
	f := open(t)
	begun := make(chan struct{}, 10)
	handle := func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		begun <- struct{}{}
		time.Sleep(time.Second)
		return effect(ctx, tx, m)
	}
	first := f.run(f.options(handle))
	f.publish(f.message("a", 0), f.message("a", 1))
	<-begun
	first.stop()
	if got := f.effects("a"); !slices.Equal(got, upTo(1)) {
		t.Fatalf("effects %v", got)
	}
	second := f.run(f.options(handle))
	f.handledInOrder(2, "a")
	if n := second.metric(t, "inbox_events_total", "duplicate"); n != 0 {
		t.Errorf("%v events were delivered again: the offset was not committed", n)
	}
}

func TestWhatTakesTooLongAtTheEndIsUndoneAndDoneAgain(t *testing.T) {
	f := open(t)
	begun := make(chan struct{}, 10)
	var hang atomic.Bool
	hang.Store(true)
	handle := func(ctx context.Context, tx pgx.Tx, m events.Message) error {
		err := effect(ctx, tx, m)
		begun <- struct{}{}
		if hang.Load() {
			<-ctx.Done()
		}
		return err // nil even so: it must not be committed
	}
	opts := f.batches(handle)
	opts.Drain = 200 * time.Millisecond
	first := f.run(opts)
	f.publish(f.message("a", 0))
	<-begun
	first.stop()
	if got := f.effects("a"); len(got) > 0 {
		t.Fatalf("effects %v", got)
	}
	hang.Store(false)
	f.run(f.batches(handle))
	f.handledInOrder(1, "a")
}

// More than a worker may hold: partitions are paused and resumed.
func TestABacklogIsTakenInPortions(t *testing.T) {
	f := open(t)
	const each, keys = 1500, 4
	var names []string
	for k := range keys {
		names = append(names, fmt.Sprint("key", k))
	}
	for n := 0; n < each; {
		var batch []events.Message
		for range 500 {
			for _, name := range names {
				batch = append(batch, f.message(name, n))
			}
			n++
		}
		f.publish(batch...)
	}
	began := time.Now()
	f.run(f.batches(effect))
	f.handledInOrder(each, names...)
	t.Logf("%d events in %s, %.0f/s", each*keys, time.Since(began).Round(time.Millisecond), each*keys/time.Since(began).Seconds())
}
