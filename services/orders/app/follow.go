package app

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// EventSource tells what is new of many orders.
type EventSource interface {
	// EventsAfter gives the events of orders after the version named for each, those of one order in order. It may leave some
	// for the next time.
	EventsAfter(ctx context.Context, after map[uuid.UUID]int64) ([]Event, error)
}

// Followers tells all who follow orders through this instance of new events, with one query for all of them each time.
// It is safe for concurrent use.
type Followers struct {
	source EventSource
	failed func(error)

	mu    sync.Mutex
	wake  chan struct{} // the first one has come
	every map[*Follower]bool
}

// NewFollowers asks source; failed hears of questions that failed, which are asked again.
func NewFollowers(source EventSource, failed func(error)) *Followers {
	return &Followers{source: source, failed: failed, wake: make(chan struct{}, 1), every: map[*Follower]bool{}}
}

// Follower gets the events of one order, in order and without gaps. One that is slow is not waited for: it is asked for
// more only when it has taken what it was given.
type Follower struct {
	order  uuid.UUID
	after  int64 // version of the last event that it was given
	events chan []Event
}

// Events gives what is new, some events at a time.
func (f *Follower) Events() <-chan []Event { return f.events }

// Follow tells of an order's events after a version, until stop is called.
func (s *Followers) Follow(order uuid.UUID, after int64) (f *Follower, stop func()) {
	f = &Follower{order: order, after: after, events: make(chan []Event, 1)}
	s.mu.Lock()
	s.every[f] = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return f, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.every, f)
	}
}

const (
	followEvery = 200 * time.Millisecond
	followLimit = 2 * time.Second // for one query
)

// Run tells until ctx ends. Nobody is asked while nobody follows.
func (s *Followers) Run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		if waiting := s.waiting(); len(waiting) > 0 {
			if err := s.tell(ctx, waiting); err != nil && ctx.Err() == nil {
				s.failed(err)
			}
		} else {
			select {
			case <-ctx.Done():
			case <-s.wake:
			case <-tick.C: // some may only have been slow
			}
			if ctx.Err() != nil {
				return
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// waiting are those who have taken what they were given, by order.
func (s *Followers) waiting() map[uuid.UUID][]*Follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := make(map[uuid.UUID][]*Follower, len(s.every))
	for f := range s.every {
		if len(f.events) == 0 {
			waiting[f.order] = append(waiting[f.order], f)
		}
	}
	return waiting
}

func (s *Followers) tell(ctx context.Context, waiting map[uuid.UUID][]*Follower) error {
	after := make(map[uuid.UUID]int64, len(waiting))
	for order, fs := range waiting {
		after[order] = fs[0].after
		for _, f := range fs {
			after[order] = min(after[order], f.after)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, followLimit)
	defer cancel()
	events, err := s.source.EventsAfter(ctx, after)
	if err != nil {
		return err
	}
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].Order == events[0].Order {
			n++
		}
		for _, f := range waiting[events[0].Order] {
			f.give(events[:n])
		}
		events = events[n:]
	}
	return nil
}

// give hands over what is new to f. There is room: only Run gives, and it saw the channel empty.
func (f *Follower) give(events []Event) {
	for len(events) > 0 && events[0].Version <= f.after {
		events = events[1:]
	}
	if len(events) > 0 {
		f.after = events[len(events)-1].Version
		f.events <- events
	}
}
