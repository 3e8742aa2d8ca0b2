package app

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// flights lets equal reads that come at the same time share one look at the database,
// so that a popular list costs no more when many ask for it at once. No answer is older
// than its question: who comes while a read is under way waits for the next one, which
// begins after that.
type flights[T any] struct {
	mu     sync.Mutex
	routes map[string]*route[T]
}

// route has the read that is under way, and the one that those wait for who came since.
type route[T any] struct {
	next *flight[T]
}

type flight[T any] struct {
	done  chan struct{}
	value T
	err   error
	read  func(context.Context) (T, error)
	ctx   context.Context // of whoever asked first; only its values are used
}

// flightLimit bounds a read; those who wait for it have deadlines of their own.
const flightLimit = 2 * time.Second

// do gives what read finds, which began after do was called.
func (f *flights[T]) do(ctx context.Context, key string, read func(context.Context) (T, error)) (T, error) {
	f.mu.Lock()
	r, busy := f.routes[key]
	if !busy {
		r = &route[T]{}
		if f.routes == nil {
			f.routes = map[string]*route[T]{}
		}
		f.routes[key] = r
		f.mu.Unlock()
		defer f.landed(key, r)
		return read(ctx)
	}
	if r.next == nil {
		r.next = &flight[T]{done: make(chan struct{}), read: read, ctx: ctx}
	}
	mine := r.next
	f.mu.Unlock()
	select {
	case <-mine.done:
		return mine.value, mine.err
	case <-ctx.Done():
		var none T
		return none, tooLate(ctx)
	}
}

// landed begins the next read, if anybody waits for one.
func (f *flights[T]) landed(key string, r *route[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := r.next
	if next == nil {
		delete(f.routes, key)
		return
	}
	r.next = nil
	go func() {
		defer f.landed(key, r)
		next.run()
	}()
}

// run makes a read. A panic must end it as an error, as there is no request's handler
// around it that would.
func (f *flight[T]) run() {
	defer close(f.done)
	defer func() {
		if p := recover(); p != nil {
			f.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	// Who asked first may leave while others wait.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), flightLimit)
	defer cancel()
	f.value, f.err = f.read(ctx)
}
