package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/renameio/v2"
	consulapi "github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/discovery"
)

// Options say where a service's configuration is.
type Options[T any] struct {
	Consul   *consulapi.Client
	Key      string // in Consul's KV store: souk/<env>/<service>
	Defaults func() T
	// StateFile keeps the last good document, so that the service can start again
	// while Consul is away. Its folder exists.
	StateFile string
	Log       *slog.Logger
	Metrics   prometheus.Registerer
}

// startLimit bounds how long a start waits for Consul before the kept document serves.
const startLimit = 5 * time.Second

// Live is a configuration that changes under a running service, always to another
// valid one.
type Live[T any] struct {
	current atomic.Pointer[snapshot[T]]

	mu       sync.Mutex
	watchers []func(*T)

	index   prometheus.Gauge
	refused prometheus.Counter
	contact prometheus.Gauge
}

type snapshot[T any] struct {
	value *T
	index uint64
}

// Get is the configuration in force. It is never changed in place; use one snapshot
// for a whole request.
func (l *Live[T]) Get() *T { return l.current.Load().value }

// Index is Consul's ModifyIndex of the document in force; 0 stands for the defaults
// or for a document kept from before.
func (l *Live[T]) Index() uint64 { return l.current.Load().index }

// OnChange calls f with the configuration in force, at once, and then with every later
// one, in order and never two at a time.
func (l *Live[T]) OnChange(f func(*T)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers = append(l.watchers, f)
	f(l.Get())
}

// Watch reads the configuration and follows it until ctx ends, with blocking queries.
//
// At the start, in this order: the document in Consul, if it is valid; the last good
// one that StateFile keeps; the defaults, if Consul answers that there is no document.
// Else it returns an error. Later an invalid document, or one that vanishes, is logged
// and counted and changes nothing.
func Watch[T any, P Validator[T]](ctx context.Context, o Options[T]) (*Live[T], error) {
	l := &Live[T]{
		index:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "souk_config_modify_index", Help: "Consul's ModifyIndex of the configuration in force."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "souk_config_refused_total", Help: "Configurations that were invalid and not taken."}),
		contact: prometheus.NewGauge(prometheus.GaugeOpts{Name: "souk_config_contact_timestamp_seconds", Help: "When Consul last answered a query for the configuration."}),
	}
	for _, c := range []prometheus.Collector{l.index, l.refused, l.contact} {
		if err := o.Metrics.Register(c); err != nil {
			return nil, fmt.Errorf("register a metric: %w", err)
		}
	}
	w := watch[T, P]{Options: o, live: l}
	seen, err := w.start(ctx)
	if err != nil {
		return nil, err
	}
	go w.follow(ctx, seen)
	return l, nil
}

type watch[T any, P Validator[T]] struct {
	Options[T]
	live *Live[T]
}

// start puts the first configuration in force and returns the index to wait from.
func (w *watch[T, P]) start(ctx context.Context) (uint64, error) {
	short, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	pair, meta, err := w.Consul.KV().Get(w.Key, (&consulapi.QueryOptions{}).WithContext(short))
	if err == nil {
		w.live.contact.SetToCurrentTime()
		if pair == nil {
			w.Log.Info("no configuration in Consul, the defaults hold", "key", w.Key)
			c, err := Parse[T, P](nil, w.Defaults())
			if err != nil {
				return 0, fmt.Errorf("the defaults are not valid: %w", err)
			}
			w.put(c, 0)
			return meta.LastIndex, nil
		}
		if err = w.take(pair); err == nil {
			return meta.LastIndex, nil
		}
	}
	kept, keptErr := w.kept()
	if keptErr != nil {
		return 0, fmt.Errorf("configuration %s: %w (and none is kept from before: %w)", w.Key, err, keptErr)
	}
	w.Log.Error("the configuration kept from before holds", "key", w.Key, "error", err)
	w.put(kept, 0)
	return 0, nil
}

func (w *watch[T, P]) follow(ctx context.Context, seen uint64) {
	discovery.Follow(ctx, seen, w.ask, func(err error) {
		w.Log.Warn("Consul does not answer, the configuration stays as it is", "key", w.Key, "error", err)
	})
}

// ask takes what Consul has, if that is new, and returns the index of the answer.
func (w *watch[T, P]) ask(ctx context.Context, seen uint64) (uint64, error) {
	q := (&consulapi.QueryOptions{WaitIndex: seen, WaitTime: 5 * time.Minute}).WithContext(ctx)
	pair, meta, err := w.Consul.KV().Get(w.Key, q)
	if err != nil {
		return 0, err
	}
	w.live.contact.SetToCurrentTime()
	switch {
	case pair == nil && w.live.Index() != 0:
		w.Log.Error("the configuration vanished from Consul, the last good one stays", "key", w.Key)
	case pair != nil && pair.ModifyIndex != w.live.Index():
		if err := w.take(pair); err != nil {
			w.Log.Error("a configuration was refused, the last good one stays", "key", w.Key, "modify_index", pair.ModifyIndex, "error", err)
		}
	}
	return meta.LastIndex, nil
}

// take puts a document in force, or counts it as refused.
func (w *watch[T, P]) take(pair *consulapi.KVPair) error {
	c, err := Parse[T, P](pair.Value, w.Defaults())
	if err != nil {
		w.live.refused.Inc()
		return err
	}
	w.put(c, pair.ModifyIndex)
	if w.StateFile != "" {
		if err := renameio.WriteFile(w.StateFile, pair.Value, 0o600); err != nil {
			w.Log.Error("the configuration could not be kept for a start without Consul", "file", w.StateFile, "error", err)
		}
	}
	w.Log.Info("configuration in force", "key", w.Key, "modify_index", pair.ModifyIndex)
	return nil
}

func (w *watch[T, P]) put(c *T, index uint64) {
	w.live.mu.Lock()
	defer w.live.mu.Unlock()
	w.live.current.Store(&snapshot[T]{value: c, index: index})
	w.live.index.Set(float64(index))
	for _, f := range w.live.watchers {
		f(c)
	}
}

func (w *watch[T, P]) kept() (*T, error) {
	if w.StateFile == "" {
		return nil, errors.New("no file for it")
	}
	raw, err := os.ReadFile(w.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("no such file")
	}
	if err != nil {
		return nil, err
	}
	return Parse[T, P](raw, w.Defaults())
}
