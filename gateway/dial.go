package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"
)

// dialer opens connections with TLS on them.
type dialer struct {
	tls   *tls.Config
	limit time.Duration
}

// dial implements fasthttp.DialFuncWithTimeout.
func (d dialer) dial(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), min(d.limit, timeout))
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	under := &hushed{Conn: raw}
	c := &peekConn{Conn: tls.Client(under, d.tls), under: under}
	if err = c.HandshakeContext(ctx); err == nil {
		err = c.prepare(raw)
	}
	if err != nil {
		_ = raw.Close() // the handshake's error says more
		return nil, err
	}
	return c, nil
}

// peekConn can tell whether its server has closed it, or has sent what nobody asked for.
// One asks before every reuse, so that a restarted instance's old connections don't fail
// requests that nobody may repeat, and no answer is taken for another's.
type peekConn struct {
	*tls.Conn
	under *hushed
	raw   syscall.RawConn
	peek  func(fd uintptr)
	buf   [1]byte
	empty bool
}

// hushed can hold back the network, to see what TLS has read already.
type hushed struct {
	net.Conn
	held bool
}

func (c *hushed) Read(p []byte) (int, error) {
	if c.held {
		return 0, errHeld
	}
	return c.Conn.Read(p)
}

// heldError is temporary, else TLS would not read on after it.
type heldError struct{}

var errHeld error = heldError{}

func (heldError) Error() string   { return "nothing was read ahead" }
func (heldError) Timeout() bool   { return true }
func (heldError) Temporary() bool { return true }

func (c *peekConn) prepare(raw net.Conn) (err error) {
	sc, ok := raw.(syscall.Conn)
	if !ok {
		return errors.New("not a socket")
	}
	c.raw, err = sc.SyscallConn()
	c.peek = func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), c.buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		c.empty = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR)
	}
	return err
}

// open reports that nothing has come in on an idle connection, neither data nor its end.
func open(conn net.Conn) bool {
	c, ok := conn.(*peekConn)
	if !ok {
		return false
	}
	c.empty = false
	if c.raw.Control(c.peek) != nil || !c.empty {
		return false
	}
	c.under.held = true
	n, err := c.Read(c.buf[:])
	c.under.held = false
	return n == 0 && errors.Is(err, errHeld)
}
