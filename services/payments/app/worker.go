package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"souk/internal/logs"
)

// WorkerOptions tune a Worker; each zero value stands for the default named.
type WorkerOptions struct {
	Log     *slog.Logger
	Calls   int           // to providers at once; 256
	Timeout time.Duration // of one call; 3 s. The store's lease must be longer
	Poll    time.Duration // between looks for operations that nobody asked the provider for; 500 ms
	Linger  time.Duration // that the first outcome of a batch waits for others; 4 ms
	Batch   int           // outcomes stored in one transaction, at most; 256
}

// Worker asks providers to do operations and stores what they answer, many answers in one transaction. Any number of
// instances work beside each other. Nothing is lost with one that dies: what it had in hand is claimed by another when the
// lease is over, and asked for again under the same key.
type Worker struct {
	WorkerOptions
	store     Store
	providers map[string]Provider
	changed   func(*Set) // hears of every set that was stored
	queue     chan Operation
	answers   chan answer
	now       func() time.Time
}

// answer to one operation: either has it an outcome, or it is postponed.
type answer struct {
	settled   *Settlement
	postponed *Postponed
}

// NewWorker makes a worker; Run runs it.
func NewWorker(store Store, providers []Provider, o WorkerOptions) *Worker {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Calls, o.Batch = max(o.Calls, 0), max(o.Batch, 0)
	if o.Calls == 0 {
		o.Calls = 256
	}
	if o.Batch == 0 {
		o.Batch = 256
	}
	for d, or := range map[*time.Duration]time.Duration{&o.Timeout: 3 * time.Second, &o.Poll: 500 * time.Millisecond, &o.Linger: 4 * time.Millisecond} {
		if *d == 0 {
			*d = or
		}
	}
	w := &Worker{
		WorkerOptions: o, store: store, providers: map[string]Provider{}, changed: func(*Set) {},
		queue: make(chan Operation, 4*o.Calls), answers: make(chan answer, o.Calls), now: time.Now,
	}
	for _, p := range providers {
		w.providers[p.Name()] = p
	}
	return w
}

// Submit hands over operations that were stored and leased just now. It never waits: what there is no room for is
// claimed when its lease is over.
func (w *Worker) Submit(operations []Operation) {
	for _, op := range operations {
		select {
		case w.queue <- op:
		default:
			return
		}
	}
}

// Run works until ctx ends, and then until the answers are stored that are under way.
func (w *Worker) Run(ctx context.Context) {
	var polling, calls, storing sync.WaitGroup
	polling.Go(func() { w.poll(ctx) })
	storing.Go(func() { w.storeAll(context.WithoutCancel(ctx)) })
	slots := make(chan struct{}, w.Calls)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case op := <-w.queue:
			slots <- struct{}{}
			calls.Go(func() {
				defer func() { <-slots }()
				w.answers <- w.ask(context.WithoutCancel(ctx), op)
			})
		}
	}
	polling.Wait()
	calls.Wait()
	close(w.answers)
	storing.Wait()
}

// poll claims what others have left, and what was postponed.
func (w *Worker) poll(ctx context.Context) {
	tick := time.NewTicker(w.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if free := cap(w.queue) - len(w.queue); free >= w.Calls {
			operations, err := w.store.Claim(ctx, w.Calls)
			if err != nil && ctx.Err() == nil {
				w.Log.WarnContext(ctx, "Operations of payments can't be claimed at the moment", logs.Err(err))
			}
			w.Submit(operations)
		}
	}
}

// ask calls the provider.
func (w *Worker) ask(ctx context.Context, op Operation) answer {
	settled := &Settlement{OperationKey: op.OperationKey, Traceparent: op.Traceparent}
	if !op.Deadline.IsZero() && !w.now().Before(op.Deadline) {
		settled.GaveUp = true
		return answer{settled: settled}
	}
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	result, err := w.call(ctx, op)
	switch {
	case err != nil:
		w.Log.WarnContext(ctx, "A provider gave no answer; it is asked again", "event.action", string(op.Kind), "payment.intent", op.IntentID.String(),
			"event.sequence", op.Attempts, logs.Err(err))
		return w.later(op, backOff(op.Attempts))
	case result.Outcome == Processing:
		op.Asked = true
		return w.later(op, max(5*time.Second, backOff(op.Attempts))) // its webhook should come before
	case !fits(op.Kind, result.Outcome):
		w.Log.ErrorContext(ctx, "A provider's answer makes no sense for what it was asked", "event.action", string(op.Kind), "event.outcome", string(result.Outcome),
			"event.reason", result.Reason, "payment.intent", op.IntentID.String())
		return w.later(op, time.Minute)
	}
	settled.Result = result
	return answer{settled: settled}
}

// fits reports whether an outcome answers an operation. A void that failed means that our books and the provider's
// differ, which no other call mends.
func fits(k Kind, o Outcome) bool {
	switch k {
	case OpAuthorise:
		return o == Authorised || o == Declined
	case OpCapture:
		return o == Captured || o == Failed
	case OpVoid:
		return o == Voided
	case OpRefund:
		return o == Refunded || o == Failed
	}
	return false
}

func (w *Worker) call(ctx context.Context, op Operation) (r Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the provider %s panicked: %v", op.Provider, v)
		}
	}()
	p := w.providers[op.Provider]
	if p == nil {
		return Result{}, fmt.Errorf("the provider %q is not configured", op.Provider)
	}
	if op.Asked {
		r, err = p.Lookup(ctx, op.Kind, op.Request)
		if !errors.Is(err, ErrUnknownOperation) {
			return r, err
		}
	}
	switch op.Kind {
	case OpAuthorise:
		return p.Authorise(ctx, op.Request)
	case OpCapture:
		return p.Capture(ctx, op.Request)
	case OpVoid:
		return p.Void(ctx, op.Request)
	case OpRefund:
		return p.Refund(ctx, op.Request)
	}
	return Result{}, fmt.Errorf("%q is no kind of operation", op.Kind)
}

// later has the operation claimed again, but not after its deadline.
func (w *Worker) later(op Operation, wait time.Duration) answer {
	until := w.now().Add(wait)
	if !op.Deadline.IsZero() && until.After(op.Deadline) {
		until = op.Deadline
	}
	return answer{postponed: &Postponed{OperationKey: op.OperationKey, Until: until, Asked: op.Asked}}
}

// backOff is 0.1 to 0.2 s after the first attempt, and up to a minute later on.
func backOff(attempts int) time.Duration {
	most := 200 * time.Millisecond << min(attempts, 9)
	most = min(most, time.Minute)
	return most/2 + rand.N(most/2)
}
