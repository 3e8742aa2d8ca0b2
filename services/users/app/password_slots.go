package app

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"souk/internal/errs"
)

// slots lets a bounded number of callers work at once. The others wait, in order for each peer, and the peers take turns: a
// client that asks ten thousand times waits for itself. All its state is bounded by the queue.
type slots struct {
	mu      sync.Mutex
	size    int
	free    int
	queue   int // most that may wait
	perPeer int // most of one peer
	waiting int
	refused int64
	peers   map[netip.Prefix]*peer
	turns   []*peer // peers with someone waiting, the next first
}

// peer is who shares a place in the round: one IPv4 address, or an IPv6 /64, which is what one customer of a network has.
type peer struct {
	name    netip.Prefix
	waiters []*waiter
}

type waiter struct {
	done chan struct{} // closed with a decision in err
	err  error         // nil: the slot is the waiter's
}

func newSlots(n, queue, perPeer int) *slots {
	return &slots{size: n, free: n, queue: queue, perPeer: perPeer, peers: map[netip.Prefix]*peer{}}
}

func tooBusy() *errs.Error {
	return errs.New(errs.Unavailable, "too-busy", "too many passwords are being checked; try again").After(2 * time.Second)
}

// acquire gives a slot, which release gives back; it may be called once. When the queue is full, the one who came last from the
// peer with the most waiting is refused, which may be another than the caller.
func (s *slots) acquire(ctx context.Context, from netip.Addr) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w, err := s.enter(peerOf(from))
	if err != nil {
		return nil, err
	}
	if w == nil {
		return s.release, nil
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		if s.leave(peerOf(from), w) {
			return nil, ctx.Err()
		}
		// The decision came first; it stands.
		<-w.done
		if w.err == nil {
			s.release()
		}
		return nil, ctx.Err()
	}
	if w.err != nil {
		return nil, w.err
	}
	return s.release, nil
}

// enter takes a free slot (nil, nil), or a place in the queue.
func (s *slots) enter(name netip.Prefix) (*waiter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 { // then nobody waits
		s.free--
		return nil, nil
	}
	p := s.peers[name]
	if p != nil && len(p.waiters) >= s.perPeer {
		s.refused++
		return nil, tooBusy()
	}
	if s.waiting >= s.queue {
		worst := p
		for _, other := range s.turns {
			if worst == nil || len(other.waiters) > len(worst.waiters) {
				worst = other
			}
		}
		s.refused++
		if own := p != nil && worst == p; own || len(worst.waiters) == 1 {
			return nil, tooBusy()
		}
		last := worst.waiters[len(worst.waiters)-1]
		last.err = tooBusy()
		close(last.done)
		worst.waiters = worst.waiters[:len(worst.waiters)-1]
		s.waiting--
	}
	if p == nil {
		p = &peer{name: name}
		s.peers[name] = p
		s.turns = append(s.turns, p)
	}
	w := &waiter{done: make(chan struct{})}
	p.waiters = append(p.waiters, w)
	s.waiting++
	return w, nil
}

// leave takes a waiter out of the queue; false if it has been decided about.
func (s *slots) leave(name netip.Prefix, w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[name]
	if p == nil {
		return false
	}
	for i, other := range p.waiters {
		if other == w {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			s.waiting--
			if len(p.waiters) == 0 {
				s.forget(p)
			}
			return true
		}
	}
	return false
}

func (s *slots) forget(p *peer) {
	delete(s.peers, p.name)
	for i, other := range s.turns {
		if other == p {
			s.turns = append(s.turns[:i], s.turns[i+1:]...)
			return
		}
	}
}

// release hands the slot to the next peer in turn.
func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.turns) == 0 {
		s.free++
		return
	}
	p := s.turns[0]
	s.turns = s.turns[1:]
	w := p.waiters[0]
	p.waiters = p.waiters[1:]
	s.waiting--
	if len(p.waiters) > 0 {
		s.turns = append(s.turns, p)
	} else {
		delete(s.peers, p.name)
	}
	close(w.done)
}

func (s *slots) figures() (running, waiting int, refused int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size - s.free, s.waiting, s.refused
}

func peerOf(from netip.Addr) netip.Prefix {
	from = from.Unmap().WithZone("")
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	name, err := from.Prefix(bits)
	if err != nil { // no address: all of those share one place
		return netip.Prefix{}
	}
	return name
}
