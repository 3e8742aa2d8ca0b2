package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"souk/internal/discovery"
)

// Why a call failed decides what may be tried next.
var (
	// errNotSent: the instance has not had the whole request, so it can't have acted on it.
	errNotSent = errors.New("the request did not reach the instance")
	// errBroken: it may have acted, but there is no whole answer.
	errBroken = errors.New("the instance broke off")
	// errTimeout: the time of the route is over.
	errTimeout = errors.New("the instance took too long")
	// errAnswer: there is an answer, which can't be passed on. Another try would give the same.
	errAnswer = errors.New("the answer can't be passed on")
)

// upstream is one instance of a service, with its connections. It lives as long as the
// instance does, whatever the catalogue says meanwhile.
type upstream struct {
	instance discovery.Instance
	client   *fasthttp.HostClient
	pending  atomic.Int64 // calls under way
	gone     time.Time    // since when it is not in the catalogue; zero: it is. The balancer's lock guards it
}

func newUpstream(in discovery.Instance, tlsConfig *tls.Config, u Upstream) *upstream {
	up := &upstream{instance: in}
	up.client = &fasthttp.HostClient{
		Addr: in.Address, IsTLS: true,
		Transport:   exchange{},
		DialTimeout: dialer{tls: tlsConfig, limit: u.ConnectTimeout}.dial,
		MaxConns:    u.Connections, MaxIdleConnDuration: u.IdleTimeout,
		MaxResponseBodySize: u.ResponseLimit,
		ReadBufferSize:      32 << 10, // bounds the head of an answer
		ConnPoolStrategy:    fasthttp.LIFO,
		// Whoever calls decides about a second try: it goes to another instance.
		MaxIdemponentCallAttempts: 1,
		NoDefaultUserAgentHeader:  true,
		DisablePathNormalizing:    true,
		SecureErrorLogMessage:     true,
	}
	return up
}

// call sends req, which has everything but scheme and address, and reads the whole answer.
// The error wraps one of the reasons above.
func (u *upstream) call(req *fasthttp.Request, resp *fasthttp.Response, deadline time.Time) error {
	u.pending.Add(1)
	defer u.pending.Add(-1)
	err := u.client.DoDeadline(req, resp, deadline)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNotSent), errors.Is(err, errBroken), errors.Is(err, errTimeout), errors.Is(err, errAnswer):
		return err
	case errors.Is(err, fasthttp.ErrTimeout):
		return fmt.Errorf("%w: %w", errTimeout, err)
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}

// exchange is one request and its answer on one connection: what fasthttp's own transport
// does, with failures told apart, and never on a connection that its server has closed.
type exchange struct{}

// RoundTrip implements fasthttp.RoundTripper.
func (exchange) RoundTrip(hc *fasthttp.HostClient, req *fasthttp.Request, resp *fasthttp.Response) (retry bool, err error) {
	deadline := time.Now().Add(req.GetTimeOut())
	cc, err := hc.AcquireConn(time.Until(deadline), false)
	for err == nil && !cc.LastUseTime().IsZero() && !open(cc.Conn()) {
		hc.CloseConn(cc)
		cc, err = hc.AcquireConn(time.Until(deadline), false)
	}
	if err != nil {
		if time.Until(deadline) <= 0 {
			return false, fmt.Errorf("%w: %w", errTimeout, err)
		}
		return false, fmt.Errorf("%w: %w", errNotSent, err)
	}
	conn := cc.Conn()
	if err := conn.SetDeadline(deadline); err != nil {
		hc.CloseConn(cc)
		return false, fmt.Errorf("%w: %w", errNotSent, err)
	}
	bw := hc.AcquireWriter(conn)
	err = req.Write(bw)
	if err == nil {
		err = bw.Flush()
	}
	hc.ReleaseWriter(bw)
	if err != nil {
		hc.CloseConn(cc)
		return false, reason(errNotSent, err)
	}
	resp.SkipBody = req.Header.IsHead()
	resp.Header.SetNoDefaultContentType(true) // an answer without a type stays without
	br := hc.AcquireReader(conn)
	err = resp.ReadLimitBody(br, hc.MaxResponseBodySize)
	rest := br.Buffered()
	hc.ReleaseReader(br)
	if err == nil && resp.StatusCode() == fasthttp.StatusSwitchingProtocols {
		err = fmt.Errorf("%w: it switches protocols, which nobody asked for", errAnswer)
	}
	if err != nil {
		hc.CloseConn(cc)
		return false, reason(errBroken, err)
	}
	// Bytes after the answer belong to nothing; the next request must not read them as its own.
	if resp.ConnectionClose() || rest > 0 {
		hc.CloseConn(cc)
	} else {
		hc.ReleaseConn(cc)
	}
	return false, nil
}

// reason says why a request or its answer did not get through.
func reason(otherwise, err error) error {
	small := (*fasthttp.ErrSmallBuffer)(nil)
	switch {
	case errors.Is(err, errAnswer):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, fasthttp.ErrTimeout):
		otherwise = errTimeout
	case errors.Is(err, fasthttp.ErrBodyTooLarge), errors.As(err, &small):
		otherwise = errAnswer
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", otherwise, err)
}

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
