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
	settle    func(context.Context, <-chan struct{}, events.Record) error

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

func start(ctx context.Context, group *events.Group, p events.Partition, settle func(context.Context, <-chan struct{}, events.Record) error) *worker {
	w := &worker{
		group: group, partition: p, settle: settle,
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
		next, more := w.take()
		if !more {
			return
		}
		if !next.end {
			if err := w.settle(ctx, w.stop, next.Record); err != nil {
				return
			}
		}
		w.store(next)
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

// take waits for the next, and reports false when the worker has to end.
func (w *worker) take() (polled, bool) {
	for {
		select {
		case <-w.stop:
			return polled{}, false
		default:
		}
		if p, has := w.pop(); has {
			return p, true
		}
		select {
		case <-w.stop:
		case <-w.more:
		}
	}
}

func (w *worker) pop() (polled, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return polled{}, false
	}
	p := w.queue[0]
	w.queue[0] = polled{}
	w.queue = w.queue[1:]
	w.bytes -= p.Size()
	if w.paused && !w.gone && len(w.queue) <= lowRecords && w.bytes <= lowBytes {
		w.paused = w.group.Resume(w.partition) != nil
	}
	return p, true
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
