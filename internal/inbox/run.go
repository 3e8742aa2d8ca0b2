package inbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"souk/internal/events"
	"souk/internal/postgres"
)

// Run consumes until ctx ends, as one of the members of the group: any number of
// instances may. When ctx ends, what is at work is finished, for Drain at most.
// The database needs the tables that postgres.Migrate makes.
func Run(ctx context.Context, pool *postgres.Pool, opts Options) {
	c := &consumer{Options: opts.complete(), pool: pool}
	c.metrics = newMetrics(c)
	c.Metrics.MustRegister(c.metrics.all()...)
	defer c.metrics.unregister(c.Metrics)
	c.dead = &deadLetters{opts: c.Options}
	defer c.dead.close()

	var beside sync.WaitGroup
	defer beside.Wait()
	for _, f := range []func(context.Context){c.replayParked, c.forgetOld, c.countParked} {
		beside.Go(func() { f(ctx) })
	}
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		if err := c.consume(ctx, pause.Reset); err != nil && ctx.Err() == nil {
			wait := pause.NextBackOff()
			c.Log.Warn("Consuming failed and is begun anew", "error.message", err.Error(), "event.duration", wait.Nanoseconds())
			sleep(ctx, nil, wait)
		}
	}
}

const (
	openLimit = 15 * time.Second
	pollWait  = 100 * time.Millisecond
)

// consume works with one connection until ctx ends or the connection is of no use.
func (c *consumer) consume(ctx context.Context, works func()) error {
	brokers, err := c.topics(ctx)
	if err != nil {
		return err
	}
	m := &members{consumer: c, ctx: ctx, workers: map[events.Partition]*worker{}}
	group, err := events.Join(events.GroupOptions{
		Brokers: brokers, Group: c.Group, ClientID: c.Group, Topics: c.Topics, Log: c.Log, Assigned: m.assigned, Revoked: m.revoked,
	})
	if err != nil {
		return err
	}
	m.group = group
	works()
	defer group.Close()

	lagging, stop := context.WithCancel(ctx)
	moved := make(chan struct{})
	var lag sync.WaitGroup
	lag.Go(func() { c.followLag(lagging, group, brokers, moved) })
	defer lag.Wait()
	defer m.stopAll() // before the group is left: what it finishes is committed then
	defer stop()
	for ctx.Err() == nil {
		select {
		case <-moved:
			return fmt.Errorf("the brokers %v are gone", brokers)
		default:
		}
		record, what, err := group.Poll(pollWait)
		if err != nil {
			return err
		}
		if what != events.Nothing {
			m.add(polled{record, what == events.End})
		}
	}
	return nil
}

// topics asks where Kafka is and sees to it that the topics are there: a member that
// subscribes to a missing one would hear of its creation only a minute later.
func (c *consumer) topics(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	brokers, err := c.Brokers(ctx)
	if err != nil {
		return nil, fmt.Errorf("find Kafka: %w", err)
	}
	topics := make([]events.Topic, len(c.Topics))
	for i, name := range c.Topics {
		topics[i] = c.topic(name)
	}
	return brokers, events.EnsureTopics(ctx, brokers, c.Group, c.Log, topics...)
}

// topic as Create has it.
func (o Options) topic(name string) events.Topic {
	for _, t := range o.Create {
		if t.Name == name {
			return t
		}
	}
	return events.Topic{Name: name}
}

// members are the workers of one connection. Only the goroutine that polls uses them.
type members struct {
	*consumer
	ctx     context.Context //nolint:containedctx // of consume, for workers that callbacks start
	group   *events.Group
	workers map[events.Partition]*worker
	closed  bool
}

func (m *members) add(p polled) {
	// No worker: it was revoked while this was on its way, and is read again by its next owner.
	if w := m.workers[events.Partition{Topic: p.Topic, Number: p.Partition}]; w != nil {
		w.add(p)
	}
}

func (m *members) assigned(partitions []events.Partition) {
	if m.closed {
		return
	}
	for _, p := range partitions {
		m.stop([]events.Partition{p}, true) // there is none, unless a revocation was missed
		m.workers[p] = start(m.ctx, m.group, p, m.consumer)
	}
	m.metrics.assigned.WithLabelValues().Set(float64(len(m.workers)))
	m.Log.Info("Partitions assigned", "event.action", "partitions-assigned", "kafka.partitions", fmt.Sprint(partitions))
}

func (m *members) revoked(partitions []events.Partition, lost bool) {
	if m.closed {
		return
	}
	m.Log.Info("Partitions revoked", "event.action", "partitions-revoked", "kafka.partitions", fmt.Sprint(partitions), "event.lost", lost)
	m.stop(partitions, lost)
}

func (m *members) stopAll() {
	all := make([]events.Partition, 0, len(m.workers))
	for p := range m.workers {
		all = append(all, p)
	}
	m.stop(all, false)
	m.closed = true // Close calls back, from another goroutine
}

// cancelLimit bounds how long a worker may take to notice that it was cancelled.
const cancelLimit = 2 * time.Second

// stop ends the workers of these partitions. What they are at is finished if that takes
// no longer than Drain and now is false, else it is undone: its transaction ends
// without a commit, and its offset is not stored.
func (m *members) stop(partitions []events.Partition, now bool) {
	var ending []*worker
	for _, p := range partitions {
		if w := m.workers[p]; w != nil {
			close(w.stop)
			ending = append(ending, w)
			delete(m.workers, p)
		}
	}
	m.metrics.assigned.WithLabelValues().Set(float64(len(m.workers)))
	if !now {
		ending = await(ending, m.Drain)
	}
	for _, w := range ending {
		w.cancel()
	}
	for _, w := range await(ending, cancelLimit) {
		m.Log.Error("A handler of events does not end although its context has; it is left behind", "kafka.partition", fmt.Sprint(w.partition))
	}
	for _, w := range ending {
		w.leave()
	}
}

// await gives those that have not ended within the limit.
func await(workers []*worker, limit time.Duration) []*worker {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for i, w := range workers {
		select {
		case <-w.done:
		case <-timer.C:
			return slices.DeleteFunc(slices.Clone(workers[i:]), func(w *worker) bool {
				select {
				case <-w.done:
					return true
				default:
					return false
				}
			})
		}
	}
	return nil
}
