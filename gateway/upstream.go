package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
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
	streams  *streaming
	pending  atomic.Int64 // calls under way
	gone     time.Time    // since when it is not in the catalogue; zero: it is. The balancer's lock guards it
}

func newUpstream(in discovery.Instance, tlsConfig *tls.Config, u Upstream, streams int) *upstream {
	up := &upstream{instance: in}
	d := dialer{tls: tlsConfig, limit: u.ConnectTimeout}
	up.streams = newStreaming(up, d, u, streams)
	up.client = &fasthttp.HostClient{
		Addr: in.Address, IsTLS: true,
		Transport:   exchange{},
		DialTimeout: d.dial,
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
	conn, settle, err := send(hc, req, time.Now().Add(req.GetTimeOut()))
	if err != nil {
		return false, err
	}
	resp.SkipBody = req.Header.IsHead()
	resp.Header.SetNoDefaultContentType(true) // an answer without a type stays without
	br := hc.AcquireReader(conn)
	err = resp.ReadLimitBody(br, hc.MaxResponseBodySize)
	rest := br.Buffered()
	hc.ReleaseReader(br)
	if err == nil && resp.StatusCode() == fasthttp.StatusSwitchingProtocols {
		err = errSwitches
	}
	if err != nil {
		settle(false)
		return false, reason(errBroken, err)
	}
	// Bytes after the answer belong to nothing; the next request must not read them as its own.
	settle(!resp.ConnectionClose() && rest == 0)
	return false, nil
}

// send writes the request to a connection, on which the answer is to be read before the
// deadline. settle, to be called once, keeps the connection for other requests or ends
// it. The error wraps errNotSent or errTimeout.
func send(hc *fasthttp.HostClient, req *fasthttp.Request, deadline time.Time) (conn net.Conn, settle func(keep bool), err error) {
	cc, err := hc.AcquireConn(time.Until(deadline), false)
	for err == nil && !cc.LastUseTime().IsZero() && !open(cc.Conn()) {
		hc.CloseConn(cc)
		cc, err = hc.AcquireConn(time.Until(deadline), false)
	}
	if err != nil {
		if time.Until(deadline) <= 0 {
			return nil, nil, fmt.Errorf("%w: %w", errTimeout, err)
		}
		return nil, nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	conn = cc.Conn()
	if err := conn.SetDeadline(deadline); err != nil {
		hc.CloseConn(cc)
		return nil, nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	bw := hc.AcquireWriter(conn)
	err = req.Write(bw)
	if err == nil {
		err = bw.Flush()
	}
	hc.ReleaseWriter(bw)
	if err != nil {
		hc.CloseConn(cc)
		return nil, nil, reason(errNotSent, err)
	}
	return conn, func(keep bool) {
		if keep {
			hc.ReleaseConn(cc)
		} else {
			hc.CloseConn(cc)
		}
	}, nil
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
