package web

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// How long a closed connection is still read from, so that the client gets our
	// last answer before its own unread bytes make the kernel reset the connection
	// (RFC 9112, section 9.6). With a refused body still coming in it may pause
	// longer; the times are then nginx's.
	lingerQuiet = time.Second
	lingerTotal = 30 * time.Second
	lingerBytes = 64 << 20
	// How long the rest of a request's first bytes may take once the drain has come
	// upon them.
	lastLook = time.Second
	// How long a new connection may take to its first request once the server drains.
	newGrace = time.Second
)

// conn is a connection that knows whether a request is under way, ends politely,
// and whose writes time out by lack of progress, so that a long stream may be
// long and a stuck client is still cut off.
type conn struct {
	net.Conn
	conns        *connections
	writeTimeout time.Duration
	headerLimit  int

	eof      atomic.Bool // the client has ended its side
	wrote    atomic.Bool // something was sent
	unread   atomic.Bool // a refused request may still be coming in
	cut      atomic.Bool // no manners any more
	closed   atomic.Bool
	lineless int // bytes read since a line ended; read and written by the serving goroutine only

	mu    sync.Mutex // orders interrupt and state
	idle  bool
	since time.Time // of the state
	drain drainStep

	handling // what the watchdog looks at
}

// tlsConn is what fasthttp recognises as TLS.
type tlsConn struct {
	*conn
	tls *tls.Conn
}

func (c *tlsConn) Handshake() error                     { return c.tls.Handshake() }
func (c *tlsConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }
func (c *conn) base() *conn                             { return c }

func baseOf(nc net.Conn) *conn {
	if c, ok := nc.(interface{ base() *conn }); ok {
		return c.base()
	}
	return nil
}

// connOf is the connection of a request; nil in App().Test.
func connOf(fctx *fasthttp.RequestCtx) *conn { return baseOf(fctx.Conn()) }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.leave() {
		n, err = c.lastRead(p, err)
	}
	if n > 0 {
		if bytes.IndexByte(p[:n], '\n') >= 0 {
			c.lineless = 0
		} else {
			c.lineless += n
		}
	}
	if errors.Is(err, io.EOF) {
		c.eof.Store(true)
	}
	return n, err
}

// lineTooLong reports that the header buffer is full of one line: the request's first.
func (c *conn) lineTooLong() bool { return c.lineless >= c.headerLimit }

func (c *conn) Write(p []byte) (int, error) {
	if c.deadline.Load() == overtaken {
		return 0, net.ErrClosed // the watchdog has answered instead
	}
	if err := c.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *conn) write(p []byte) error {
	c.wrote.Store(true)
	if err := c.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
		return err
	}
	_, err := c.Conn.Write(p)
	return err
}

// setIdle follows the requests of the connection.
func (c *conn) setIdle(idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle != idle {
		if idle {
			c.conns.busy.Add(-1)
		} else {
			c.conns.busy.Add(1)
		}
	}
	c.idle, c.since = idle, time.Now()
}

// Close ends the connection in stages: our side first, then what the client
// still sends is read and dropped for a while, then the rest.
func (c *conn) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	defer c.conns.remove(c)
	if c.wrote.Load() && !c.eof.Load() && !c.cut.Load() {
		c.linger()
	}
	return c.Conn.Close()
}

func (c *conn) linger() {
	raw := c.endOurSide()
	if raw == nil {
		return
	}
	quiet := lingerQuiet
	if c.unread.Load() {
		quiet *= 5
	}
	end := time.Now().Add(lingerTotal)
	for b, left := make([]byte, 8<<10), lingerBytes; left > 0 && time.Now().Before(end); {
		if raw.SetReadDeadline(time.Now().Add(quiet)) != nil {
			return
		}
		n, err := raw.Read(b)
		if left -= n; err != nil {
			return
		}
	}
}

// endOurSide tells the client that nothing more will come. It returns the
// connection below TLS, or nil if it is broken or can't be ended by halves.
func (c *conn) endOurSide() net.Conn {
	raw := c.Conn
	if t, ok := raw.(*tls.Conn); ok {
		if t.CloseWrite() != nil {
			return nil
		}
		raw = t.NetConn()
	}
	if half, ok := raw.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return nil
	}
	return raw
}

// abort closes at once.
func (c *conn) abort() {
	c.cut.Store(true)
	_ = rawOf(c.Conn).Close() // the serving goroutine sees the error
}
