package inbox

import (
	"context"
	"sync"

	"souk/internal/events"
)

// A partition is paused when this much of it waits, and resumed when only this is left.
const (
	fullRecords, lowRecords = 1000, 250
	fullBytes, lowBytes     = 4 << 20, 1 << 20
)

// worker settles the events of one partition, in order. What waits is not part of the
// group's progress: when the worker ends it is forgotten, and read again by the next.
type worker struct {
	group     *events.Group
	partition events.Partition
	most      int // records to settle at once
	wants     func(events.Record) bool
	settle    func(context.Context, <-chan struct{}, []events.Record) (done int, err error)

	stop   chan struct{} // closed: take no other record
	cancel context.CancelFunc
	done   chan struct{} // closed when the worker has ended
	more   chan struct{}

	mu     sync.Mutex
	queue  []polled
	bytes  int
	paused bool
	gone   bool // the partition is not ours, the group may be closed
}

// polled is a record, or the end of the partition.
type polled struct {
	events.Record
	end bool
}

func start(ctx context.Context, group *events.Group, p events.Partition, c *consumer) *worker {
	w := &worker{
		group: group, partition: p, most: c.Batch, wants: c.wants, settle: c.settleAll,
		stop: make(chan struct{}), done: make(chan struct{}), more: make(chan struct{}, 1),
	}
	// What is at work may end in peace when ctx does; see workers.stop.
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(w.done)
		w.run(ctx)
	}()
	return w
}

func (w *worker) run(ctx context.Context) {
	for {
		records, last, more := w.take()
		if !more {
			return
		}
		if len(records) > 0 {
			done, err := w.settle(ctx, w.stop, records)
			if err != nil && done > 0 {
				w.store(polled{Record: records[done-1]})
			}
			if err != nil {
				return
			}
		}
		w.store(last)
	}
}

// add queues what was polled, and holds the partition up if that is too much.
func (w *worker) add(p polled) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, p)
	w.bytes += p.Size()
	if !w.paused && (len(w.queue) >= fullRecords || w.bytes >= fullBytes) {
		w.paused = w.group.Pause(w.partition) == nil
	}
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// take waits for something, and gives the records among it that are wanted, if any, and
// the last of it, which may be an end. It reports false when the worker has to end.
func (w *worker) take() (records []events.Record, last polled, more bool) {
	for {
		if closed(w.stop) {
			return nil, polled{}, false
		}
		if records, last, has := w.pop(); has {
			return records, last, true
		}
		select {
		case <-w.stop:
		case <-w.more:
		}
	}
}

func (w *worker) pop() (records []events.Record, last polled, has bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 && len(records) < w.most {
		last, has = w.queue[0], true
		w.queue[0] = polled{}
		w.queue = w.queue[1:]
		w.bytes -= last.Size()
		if !last.end && w.wants(last.Record) {
			records = append(records, last.Record)
		}
	}
	if w.paused && !w.gone && len(w.queue) <= lowRecords && w.bytes <= lowBytes {
		w.paused = w.group.Resume(w.partition) != nil
	}
	return records, last, has
}

// store notes the progress. It fails if the partition has gone, and the next member
// then meets what we did as duplicates.
func (w *worker) store(p polled) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.gone:
	case p.end:
		_ = w.group.Passed(p.Record)
	default:
		_ = w.group.Done(p.Record)
	}
}

// leave keeps the worker, should it still run, away from the group.
func (w *worker) leave() {
	w.cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = true
}
