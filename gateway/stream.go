package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"souk/internal/web"
)

// streaming has an instance's answers that are streams of events passed on as they come.
// Each keeps a connection of its own for as long as it lasts; those of all other requests
// are kept apart, so streams can't use them up.
type streaming struct {
	upstream *upstream
	client   *fasthttp.HostClient
	limit    int // bytes of an answer that is no stream
}

// streamHead bounds the head of an answer; each stream keeps a buffer of this size.
const streamHead = 8 << 10

func newStreaming(u *upstream, d dialer, limits Upstream, most int) *streaming {
	return &streaming{upstream: u, limit: limits.ResponseLimit, client: &fasthttp.HostClient{
		Addr: u.instance.Address, IsTLS: true, DialTimeout: d.dial, MaxConns: most, MaxIdleConnDuration: limits.IdleTimeout,
	}}
}

// call is upstream.call for a request whose answer may be a stream: then resp has the head
// only, and the stream is to be closed. Any other answer is read whole.
func (s *streaming) call(req *fasthttp.Request, resp *fasthttp.Response, deadline time.Time) (*events, error) {
	s.upstream.pending.Add(1)
	conn, done, err := send(s.client, req, deadline)
	if err != nil {
		s.upstream.pending.Add(-1)
		return nil, err
	}
	resp.Reset()
	resp.StreamBody = true
	resp.Header.SetNoDefaultContentType(true)
	e := &events{streaming: s, conn: conn, done: done, resp: resp}
	wire := &wire{conn: conn}
	e.br = bufio.NewReaderSize(wire, streamHead)
	if err = resp.ReadLimitBody(e.br, 0); err == nil && resp.StatusCode() == fasthttp.StatusSwitchingProtocols {
		err = errSwitches
	}
	if err != nil {
		e.settle(false)
		return nil, reason(errBroken, err)
	}
	e.body = resp.BodyStream()                       // nil: the status has none
	wire.endless = resp.Header.ContentLength() == -2 // only the connection's end ends it
	if resp.StatusCode() == fasthttp.StatusOK && e.body != nil && isEventStream(resp.Header.ContentType()) {
		return e, nil
	}
	var body []byte
	if e.body != nil {
		body, err = io.ReadAll(io.LimitReader(e.body, int64(s.limit)+1))
		if err == nil && len(body) > s.limit {
			err = fasthttp.ErrBodyTooLarge
		}
	}
	e.settle(err == nil)
	if err != nil {
		return nil, reason(errBroken, err)
	}
	resp.StreamBody = false
	resp.SetBody(body)
	return nil, nil //nolint:nilnil // it is no stream
}

// wire has the end of a connection differ from the end of an answer, for which fasthttp
// takes it between two chunks.
type wire struct {
	conn    net.Conn
	endless bool
}

// Read implements io.Reader.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.conn.Read(p)
	if errors.Is(err, io.EOF) && !w.endless {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func isEventStream(contentType []byte) bool {
	mime, _, _ := bytes.Cut(contentType, []byte{';'})
	return bytes.EqualFold(bytes.TrimSpace(mime), []byte(web.EventStreamType))
}

// wantsStream reports whether the client would take one.
func wantsStream(h *fasthttp.RequestHeader) bool {
	return h.IsGet() && bytes.Contains(h.Peek(fasthttp.HeaderAccept), []byte(web.EventStreamType))
}

var (
	errSwitches = fmt.Errorf("%w: it switches protocols, which nobody asked for", errAnswer)
	errLeft     = errors.New("nobody wants the stream any more")
)

// events is a stream that an instance sends. It holds what the one Read at a time needs,
// and nothing of what was read before.
type events struct {
	*streaming
	conn net.Conn
	done func(keep bool) // with the connection
	br   *bufio.Reader
	resp *fasthttp.Response
	body io.Reader

	idle   time.Duration        // without a byte, then it is broken
	closed func(outcome string) // is told once
	unhook func() bool

	mu       sync.Mutex
	left     bool // ended by us
	revoked  bool
	finished bool // the connection is not ours any more

	whole, broken bool // read by the instance's end
}

// begin has the stream end with ctx.
func (e *events) begin(ctx context.Context) io.ReadCloser {
	e.unhook = context.AfterFunc(ctx, func() { e.end(false) })
	return e
}

// end wakes the Read that waits, whoever calls. A client that is refused from now on gets an
// orderly end, and the refusal when it comes again.
func (e *events) end(revoked bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished || e.left {
		return
	}
	e.left, e.revoked = true, revoked
	_ = e.conn.SetReadDeadline(time.Unix(1, 0)) // if it is broken already there is nothing to wake
}

// Read implements io.Reader.
func (e *events) Read(p []byte) (int, error) {
	if err := e.arm(); err != nil {
		return 0, err
	}
	n, err := e.body.Read(p)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil:
	case n > 0:
		err = nil // it comes again
	case errors.Is(err, io.EOF):
		e.whole = true
	case e.revoked:
		err = io.EOF
	case !e.left:
		e.broken = true
	}
	return n, err
}

func (e *events) arm() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.revoked:
		return io.EOF
	case e.left:
		return errLeft
	}
	return e.conn.SetReadDeadline(time.Now().Add(e.idle))
}

// Close implements io.Closer.
func (e *events) Close() error {
	if e.unhook != nil {
		e.unhook()
	}
	e.mu.Lock()
	e.finished = true
	outcome := "left"
	switch {
	case e.whole:
		outcome = "complete"
	case e.revoked:
		outcome = "revoked"
	case e.broken:
		outcome = "broken"
	}
	whole := e.whole && !e.left
	e.mu.Unlock()
	e.settle(whole)
	if e.closed != nil {
		e.closed(outcome)
	}
	return nil
}

// settle gives the connection back, or ends it if something may come on it still.
func (e *events) settle(whole bool) {
	e.done(whole && e.br.Buffered() == 0 && !e.resp.ConnectionClose())
	e.upstream.pending.Add(-1)
}
