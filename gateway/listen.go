package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settle is how long a closing listener goes on accepting after the last connection: the
	// handshake of one may be under way.
	settle = 50 * time.Millisecond
	// closeLimit ends that when connections go on coming, which they do if there is no
	// other process to take them.
	closeLimit = time.Second
)

// listen opens every address as one listener. Each may be open in another process too
// (SO_REUSEPORT), so that a new version takes over beside the old one.
//
// When ctx ends, new connections are steered to the other processes, where the kernel
// can do that. Close first accepts what the kernel has already accepted in our name;
// only then does Accept return net.ErrClosed. So serve until ctx ends, go on for a while,
// close, and no connection is lost.
func listen(ctx context.Context, addresses ...string) (net.Listener, error) {
	l := &listener{accepted: make(chan net.Conn), closing: make(chan struct{})}
	for _, address := range addresses {
		p, err := openPort(ctx, address)
		if err != nil {
			for _, open := range l.ports {
				_ = open.Close()
			}
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		l.ports = append(l.ports, p)
	}
	if len(l.ports) == 0 {
		return nil, errors.New("listen: no address")
	}
	for _, p := range l.ports {
		l.accepting.Add(1)
		go func() {
			defer l.accepting.Done()
			p.accept(l.accepted, l.closing)
		}()
		go p.share(ctx)
		l.stop = append(l.stop, context.AfterFunc(ctx, p.leave))
	}
	go func() {
		l.accepting.Wait()
		close(l.accepted)
	}()
	return l, nil
}

// listener hands out the connections of all its ports.
type listener struct {
	ports     []*port
	accepted  chan net.Conn
	accepting sync.WaitGroup
	closing   chan struct{}
	once      sync.Once
	stop      []func() bool
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, ok := <-l.accepted
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

// Close implements net.Listener; it returns before the last connection is accepted.
// Accept must go on until it fails.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closing)
		for i, p := range l.ports {
			l.stop[i]()
			p.wake()
		}
	})
	return nil
}

// Addr is that of the first port.
func (l *listener) Addr() net.Addr { return l.ports[0].Addr() }

// port is one listening socket.
type port struct {
	*net.TCPListener
	probes *probes
	target atomic.Int64 // place that new connections are steered to; negative: they are not
}

func openPort(ctx context.Context, address string) (*port, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		controlErr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(controlErr, err)
	}}
	config.SetMultipathTCP(false) // Go's default; such a socket can't be steered
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	p := &port{TCPListener: l.(*net.TCPListener), probes: newProbes()} //nolint:errcheck,forcetypeassert // of "tcp"
	p.target.Store(-1)
	_ = p.control(unsteer) // see share
	return p, nil
}

// accept hands out connections until the listener closes and the kernel's queue is empty.
func (p *port) accept(out chan<- net.Conn, closing <-chan struct{}) {
	defer p.Close() //nolint:errcheck // nobody waits for it
	var end time.Time
	for {
		select {
		case <-closing:
			now := time.Now()
			if end.IsZero() {
				end = now.Add(closeLimit)
				p.steerAgain()
			}
			// A connection that waits is accepted at once whatever the deadline.
			if now.After(end) || p.SetDeadline(now.Add(settle)) != nil {
				return
			}
		default:
		}
		c, err := p.Accept()
		switch {
		case err == nil && !p.probes.taken(c):
			out <- c
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return
		default:
			select {
			case <-closing:
				return // a timeout: nothing came for a while
			default:
			}
			if !isTimeout(err) { // out of file descriptors, or the client was gone again
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// wake makes accept look whether the listener closes.
func (p *port) wake() { _ = p.SetDeadline(time.Now()) }

func (p *port) control(f func(fd int) error) error {
	raw, err := p.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(controlErr, err)
}
