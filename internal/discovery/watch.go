package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	consulapi "github.com/hashicorp/consul/api"
)

// Watcher follows the passing instances of one service.
type Watcher struct {
	client  *consulapi.Client
	service string
	opts    Options
	saved   saved
	list    atomic.Pointer[[]Instance]
	done    chan struct{}

	mu        sync.Mutex // orders lists and the calls that tell of them
	listeners []func([]Instance)

	answeredMu sync.Mutex
	answered   time.Time // when Consul last answered
	known      bool      // it has, or a list was kept

	// Only the following goroutine uses these.
	emptySince time.Time // first of the empty answers in a row while a list serves; zero: none
	failing    bool
}

// Watch follows a service until ctx ends. It returns as soon as Consul has answered; if
// that takes longer than Options.First, with the list kept from before, which may be
// none. The error is for a name that no service can have, or an ended ctx.
func Watch(ctx context.Context, client *consulapi.Client, service string, opts Options) (*Watcher, error) {
	if err := CheckName(service); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	opts.Log = opts.Log.With(slog.String("service.target.name", service))
	w := &Watcher{client: client, service: service, opts: opts, saved: savedIn(opts.StateDir, service), done: make(chan struct{}), answered: time.Now()}
	kept, confirmed, err := w.saved.load()
	if err != nil {
		opts.Log.Error("the instances kept from before can't be read", "error", err)
	}
	if !confirmed.IsZero() {
		w.answered, w.known = confirmed, true
	}
	w.list.Store(&kept)

	first, cancel := context.WithTimeout(ctx, opts.First)
	index, err := w.ask(first, 0)
	cancel()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("watch %s: %w", service, ctx.Err())
	}
	if err != nil {
		w.noteFailure(err)
	}
	go w.follow(ctx, index)
	return w, nil
}

// Instances is the current list, sorted by ID. It is never changed: a new list replaces it.
func (w *Watcher) Instances() []Instance { return *w.list.Load() }

// Address is host:port of the first instance, "" while none is known: for servers of which there is one.
func (w *Watcher) Address() string {
	for _, in := range w.Instances() {
		return in.Address
	}
	return ""
}

// OnChange calls f with the current list at once, and then with every other list, in
// order, from one goroutine. f must not call OnChange.
func (w *Watcher) OnChange(f func([]Instance)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listeners = append(w.listeners, f)
	f(w.Instances())
}

// Age is how long ago Consul last answered, counted from before a restart if StateDir
// is set. While all is well it stays below Options.Wait and a little.
func (w *Watcher) Age() time.Duration {
	w.answeredMu.Lock()
	defer w.answeredMu.Unlock()
	return time.Since(w.answered)
}

// Known reports whether Consul has answered, or a list was kept from before: only then does
// an empty list mean that there are no instances.
func (w *Watcher) Known() bool {
	w.answeredMu.Lock()
	defer w.answeredMu.Unlock()
	return w.known
}

// Done is closed when the watcher has ended, after its ctx.
func (w *Watcher) Done() <-chan struct{} { return w.done }

func (w *Watcher) follow(ctx context.Context, index uint64) {
	defer close(w.done)
	Follow(ctx, index, w.ask, w.noteFailure)
}

// ask takes one answer and returns its index.
func (w *Watcher) ask(ctx context.Context, index uint64) (next uint64, err error) {
	wait := w.wait()
	// Consul adds up to a sixteenth; whatever takes much longer hangs.
	ctx, cancel := context.WithTimeout(ctx, wait+wait/16+5*time.Second)
	defer cancel()
	list, next, err := passing(ctx, w.client, w.service, &consulapi.QueryOptions{WaitIndex: index, WaitTime: wait})
	if err == nil && len(list) == 0 && index > 0 && len(w.Instances()) > 0 {
		// A blocking query is answered from the agent's stream, which does not say when ACLs
		// emptied it; a plain one asks the leader, and does.
		list, next, err = passing(ctx, w.client, w.service, &consulapi.QueryOptions{})
	}
	if err != nil {
		return 0, err
	}
	w.noteAnswer()
	w.take(list)
	return next, nil
}

// wait is shorter while an empty answer waits to be confirmed.
func (w *Watcher) wait() time.Duration {
	if w.emptySince.IsZero() {
		return w.opts.Wait
	}
	left := w.opts.Grace - time.Since(w.emptySince)
	return min(max(left, 100*time.Millisecond), w.opts.Wait)
}

// take puts a list in force, unless it is empty and the one in force may serve on.
func (w *Watcher) take(list []Instance) {
	if len(list) > 0 || len(w.Instances()) == 0 {
		w.emptySince = time.Time{}
		w.put(list)
		return
	}
	now := time.Now()
	if w.emptySince.IsZero() {
		w.emptySince = now
		w.opts.Log.Warn("all instances vanished at once, the last good list serves on", "instances", len(w.Instances()), "grace", max(w.opts.Grace, 0).String())
	}
	if now.Sub(w.emptySince) >= w.opts.Grace {
		w.emptySince = time.Time{}
		w.put(list)
	}
}

// put stores the list in memory and on disk, and tells the listeners if it is another one.
func (w *Watcher) put(list []Instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.Instances()
	same := reflect.DeepEqual(old, list) || len(old) == 0 && len(list) == 0
	if same {
		if w.saved.confirm() == nil {
			return
		}
	} else {
		w.list.Store(&list)
		w.opts.Log.Info("instances changed", "instances", len(list), "before", len(old))
		for _, f := range w.listeners {
			f(list)
		}
	}
	if err := w.saved.store(list); err != nil {
		w.opts.Log.Error("the instances could not be kept for a start without Consul", "error", err)
	}
}

func (w *Watcher) noteAnswer() {
	w.answeredMu.Lock()
	away := time.Since(w.answered)
	w.answered, w.known = time.Now(), true
	w.answeredMu.Unlock()
	if w.failing {
		w.failing = false
		w.opts.Log.Info("Consul answers again", "away", away.Round(time.Millisecond).String())
	}
}

// noteFailure also makes the grace start over: an answer that is empty after an outage
// is a first one again.
func (w *Watcher) noteFailure(err error) {
	w.emptySince = time.Time{}
	if !w.failing {
		w.failing = true
		w.opts.Log.Warn("Consul does not answer, the last good list serves", "instances", len(w.Instances()), "age", w.Age().Round(time.Second).String(), "error", err)
	}
}
