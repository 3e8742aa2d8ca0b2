package main

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// Places that are tried for another process; more than a node has gateways.
	places = 8
	// Connections that must all reach another process before its place is believed.
	agreeing = 4
	// How long one of ours may take to come back to us. Meanwhile new connections go
	// where we try, so nothing is lost by waiting.
	comeback = 250 * time.Millisecond
	// How long what a process steered can outlive it.
	shareEvery = 3 * time.Second
)

// leave steers new connections to another process that listens on the same port. Nobody
// can ask the kernel which place is whose: so one is steered to, and connections are
// opened to see whether they come back here. If they all do, whatever the place, there
// is no other process.
func (p *port) leave() {
	for place := range uint32(places) {
		if p.control(steer(place)) != nil {
			return // not this kernel
		}
		if p.elsewhere() {
			p.target.Store(int64(place))
			return
		}
	}
	_ = p.control(unsteer) // alone
}

// share undoes, while ctx lasts, what a process that is gone has steered: where several
// are left, the kernel should choose among them again.
func (p *port) share(ctx context.Context) {
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = p.control(unsteer) // there is nothing to undo as a rule
		}
	}
}

// steerAgain comes last before the socket closes: another process may have undone the first.
func (p *port) steerAgain() {
	if place := p.target.Load(); place >= 0 {
		_ = p.control(steer(uint32(place))) //nolint:gosec // below places
	}
}

// elsewhere reports whether new connections go to another process: none of a few that are
// opened to our own address comes here.
func (p *port) elsewhere() bool {
	address := *p.Addr().(*net.TCPAddr) //nolint:errcheck,forcetypeassert // of a TCP listener
	if address.IP.IsUnspecified() {
		address.IP = net.IPv4(127, 0, 0, 1) // [::] takes IPv4 too
	}
	for range agreeing {
		c, err := p.probes.dial(&address)
		if err != nil {
			return false
		}
		defer p.probes.end(c)
	}
	timer := time.NewTimer(comeback)
	defer timer.Stop()
	select {
	case <-p.probes.came:
		return false
	case <-timer.C:
		return true
	}
}

// probes are our own connections to ourselves, by their local address.
type probes struct {
	mu   sync.Mutex
	open map[string]bool
	came chan struct{} // holds one note that some came here
}

func newProbes() *probes { return &probes{open: map[string]bool{}, came: make(chan struct{}, 1)} }

func (ps *probes) dial(address *net.TCPAddr) (net.Conn, error) {
	// The lock keeps accept from seeing the connection before it is known as ours.
	ps.mu.Lock()
	defer ps.mu.Unlock()
	c, err := net.DialTimeout("tcp", address.String(), comeback)
	if err != nil {
		return nil, err
	}
	ps.open[c.LocalAddr().String()] = true
	return c, nil
}

func (ps *probes) end(c net.Conn) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.open, c.LocalAddr().String())
	_ = c.Close() // nothing was sent
	if len(ps.open) == 0 {
		select {
		case <-ps.came:
		default:
		}
	}
}

// taken closes an accepted connection that is a probe.
func (ps *probes) taken(c net.Conn) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if !ps.open[c.RemoteAddr().String()] {
		return false
	}
	_ = c.Close() // nothing was sent
	select {
	case ps.came <- struct{}{}:
	default:
	}
	return true
}
