package web

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"souk/internal/logs"
)

// connections are the open ones of a server.
type connections struct {
	mu     sync.Mutex
	open   map[*conn]struct{}
	change func(delta int) // told of every one opened or closed
	busy   atomic.Int64    // those with a request under way
}

func (cs *connections) add(c *conn) {
	cs.mu.Lock()
	if cs.open == nil {
		cs.open = map[*conn]struct{}{}
	}
	cs.open[c] = struct{}{}
	cs.mu.Unlock()
	cs.change(1)
}

func (cs *connections) remove(c *conn) {
	cs.mu.Lock()
	_, was := cs.open[c]
	delete(cs.open, c)
	cs.mu.Unlock()
	if was {
		c.setIdle(true)
		cs.change(-1)
	}
}

func (cs *connections) count() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.open)
}

// each calls f for every open connection.
func (cs *connections) each(f func(*conn)) {
	cs.mu.Lock()
	all := make([]*conn, 0, len(cs.open))
	for c := range cs.open {
		all = append(all, c)
	}
	cs.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}

// state is fasthttp's hook.
func (cs *connections) state(nc net.Conn, state fasthttp.ConnState) {
	if c := baseOf(nc); c != nil {
		switch state {
		case fasthttp.StateActive:
			c.setIdle(false)
		case fasthttp.StateIdle:
			c.setIdle(true)
		case fasthttp.StateNew, fasthttp.StateHijacked, fasthttp.StateClosed:
		}
	}
}

// listener hands out connections that the server keeps track of.
type listener struct {
	net.Listener
	server *Server
}

// Accept waits out a lack of descriptors or memory, which fasthttp would take for
// the listener's end.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if exhausted(err) {
			l.server.opts.Log.Error("no connection can be accepted now", logs.Err(err))
			time.Sleep(acceptPause)
			continue
		}
		if err != nil {
			return nil, err
		}
		if l.server.conns.count() >= l.server.opts.MaxConnections {
			l.server.refusedConnection()
			_ = nc.Close() // nothing was promised to it
			continue
		}
		c := &conn{
			Conn: nc, conns: &l.server.conns, writeTimeout: l.server.opts.WriteTimeout,
			headerLimit: l.server.opts.HeaderLimit,
		}
		c.idle, c.since = true, time.Now()
		l.server.conns.add(c)
		if t, ok := nc.(*tls.Conn); ok {
			return &tlsConn{conn: c, tls: t}, nil
		}
		return c, nil
	}
}

const acceptPause = 50 * time.Millisecond

func exhausted(err error) bool {
	for _, passing := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}
