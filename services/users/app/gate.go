package app

import (
	"context"
	"sync"
	"time"
)

// Bounds of the gate, for each account. Fewer at once than failures that lock: a user whose devices all log in at the
// same moment is not locked out by attempts that are counted before they succeed.
const (
	gateWidth = 4
	gateQueue = 32
)

// gate lets few attempts at one account go on at once, in this instance. Attempts from an address that the account knows
// have a place of their own. Whoever finds the queue full is told that the account is locked, as it is about to be.
type gate struct {
	mu    sync.Mutex
	doors map[string]*door
}

type door struct {
	places chan struct{}
	inside int // with those who wait
}

// gateKey is whose attempts go through one door.
func gateKey(a Attempt) string {
	if a.Known {
		return string(a.Login) + a.From.String()
	}
	return string(a.Login)
}

// enter waits for a place until ctx ends; leave gives it back.
func (g *gate) enter(ctx context.Context, key string) (leave func(), err error) {
	d, ok := g.door(key)
	if !ok {
		return nil, lockedFor(time.Second)
	}
	select {
	case d.places <- struct{}{}:
		return func() {
			<-d.places
			g.gone(key, d)
		}, nil
	case <-ctx.Done():
		g.gone(key, d)
		return nil, ctx.Err()
	}
}

func (g *gate) door(key string) (*door, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.doors[key]
	if d == nil {
		if g.doors == nil {
			g.doors = map[string]*door{}
		}
		d = &door{places: make(chan struct{}, gateWidth)}
		g.doors[key] = d
	}
	if d.inside == gateWidth+gateQueue {
		return nil, false
	}
	d.inside++
	return d, true
}

func (g *gate) gone(key string, d *door) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d.inside--; d.inside == 0 {
		delete(g.doors, key)
	}
}
