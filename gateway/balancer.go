package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"souk/internal/discovery"
)

// balancer knows the instances of every service that is routed to.
type balancer struct {
	consul  *consulapi.Client
	tls     func(service string) *tls.Config
	find    discovery.Options
	limits  Upstream
	streams int
	log     *slog.Logger

	mu       sync.Mutex
	followed map[string]*service
}

// service is one service's instances.
type service struct {
	name    string
	tls     *tls.Config
	limits  Upstream
	streams int // open ones to one instance
	watcher *discovery.Watcher
	stop    context.CancelFunc

	list  atomic.Pointer[[]*upstream] // in the catalogue now
	turns atomic.Uint64

	mu    sync.Mutex
	known map[key]*upstream // also those that left the catalogue lately
}

// key tells instances apart: an ID is unique on its node only, and an instance that
// comes back elsewhere is another one.
type key struct{ node, id, address string }

func newBalancer(consul *consulapi.Client, tlsFor func(string) *tls.Config, find discovery.Options, limits Upstream, streams int, log *slog.Logger) *balancer {
	return &balancer{consul: consul, tls: tlsFor, find: find, limits: limits, streams: streams, log: log, followed: map[string]*service{}}
}

// want returns the services of these names, each with its instances, or with none if there
// are none or none could be found in time. Those that are new are followed until ctx
// ends, or until keep leaves them out.
func (b *balancer) want(ctx context.Context, names []string) (map[string]*service, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*service, len(names))
	var g errgroup.Group
	for i, name := range names {
		if s := b.followed[name]; s != nil {
			all[i] = s
			continue
		}
		g.Go(func() (err error) {
			all[i], err = b.follow(ctx, name)
			return err
		})
	}
	err := g.Wait()
	wanted := make(map[string]*service, len(names))
	for _, s := range all {
		if s != nil {
			wanted[s.name] = s
			b.followed[s.name] = s
		}
	}
	return wanted, err
}

// keep stops following every other service. Requests that hold one end as they began.
func (b *balancer) keep(wanted map[string]*service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, s := range b.followed {
		if wanted[name] == nil {
			s.stop()
			delete(b.followed, name)
		}
	}
}

// each calls f for every service that is followed.
func (b *balancer) each(f func(*service)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.followed {
		f(s)
	}
}

func (b *balancer) follow(ctx context.Context, name string) (*service, error) {
	ctx, stop := context.WithCancel(ctx)
	s := &service{name: name, tls: b.tls(name), limits: b.limits, streams: b.streams, stop: stop, known: map[key]*upstream{}}
	s.list.Store(&[]*upstream{})
	w, err := discovery.Watch(ctx, b.consul, name, b.find)
	if err != nil {
		stop()
		return nil, fmt.Errorf("follow %s: %w", name, err)
	}
	s.watcher = w
	w.OnChange(s.change)
	go s.sweep(ctx)
	return s, nil
}

// change takes the catalogue's list. An instance that is known keeps its connections.
func (s *service) change(list []discovery.Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make([]*upstream, 0, len(list))
	listed := make(map[key]bool, len(list))
	for _, in := range list {
		k := key{in.Node, in.ID, in.Address}
		if listed[k] {
			continue
		}
		listed[k] = true
		u := s.known[k]
		if u == nil {
			u = newUpstream(in, s.tls, s.limits, s.streams)
			s.known[k] = u
		}
		u.gone = time.Time{}
		next = append(next, u)
	}
	for k, u := range s.known {
		if !listed[k] && u.gone.IsZero() {
			u.gone = time.Now()
		}
	}
	s.list.Store(&next)
}

const (
	sweepEvery = time.Minute
	// How long an instance that left the catalogue is remembered: a check that failed for
	// a while must not make it a stranger.
	remembered = 10 * time.Minute
)

// sweep forgets instances that left for good. Their idle connections have ended before, as
// every idle one does.
func (s *service) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.forget(0)
			return
		case <-tick.C:
			s.forget(remembered)
		}
	}
}

func (s *service) forget(after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, u := range s.known {
		if u.gone.IsZero() && after > 0 {
			continue
		}
		if after == 0 || time.Since(u.gone) > after && u.pending.Load() == 0 {
			u.client.CloseIdleConnections()
			u.streams.client.CloseIdleConnections()
			delete(s.known, k)
		}
	}
}

// pick returns the next instance in turn that was not tried yet; nil if there is none.
func (s *service) pick(tried []*upstream) *upstream {
	list := *s.list.Load()
	n := uint64(len(list))
	if n == 0 {
		return nil
	}
	turn := s.turns.Add(1)
next:
	for i := range n {
		u := list[(turn+i)%n]
		for _, t := range tried {
			if t == u {
				continue next
			}
		}
		return u
	}
	return nil
}

// count is the number of instances in the catalogue.
func (s *service) count() int { return len(*s.list.Load()) }
