package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/logs"
)

// Why a stream's context ends: context.Cause tells.
var (
	errStreamDrained = errors.New("the server stops")
	errStreamGone    = errors.New("the client has gone")
	errStreamTime    = errors.New("the stream has lasted as long as one may")
	errStreamClosed  = errors.New("the stream is closed")
)

// SendStream answers with a body that comes bit by bit, after the handler has returned:
// each Read's bytes are sent at once as one chunk, and the next Read waits for the client
// to take them, so a stream needs no more memory than one Read. Status and headers are
// those of c. It must be the handler's last call. c is not to be used from then on.
//
// open makes the body, unless nothing is to be sent (HEAD). ctx carries the trace and the request's id. It ends
//
//   - when the server drains and has closed its listener,
//   - when limit has passed (0: Options.StreamTime),
//   - when the client has closed its side of the connection, which is looked at every half second,
//
// and then Read must give an error soon, any: the client sees a complete answer, and may
// ask again for the rest. Before that io.EOF is the end, any other error breaks the connection off, so
// that the client knows that something is missing. Close is called once, after the last
// Read, on the same goroutine; it may be that nothing was read.
//
// One more than Options.Streams is errs.Unavailable; HTTP/1.0, which has no chunks, is 505.
func SendStream(c *fiber.Ctx, limit time.Duration, open func(ctx context.Context) io.ReadCloser) error {
	r := requestOf(c.Context())
	if r == nil {
		return errors.New("a stream needs a server of this package")
	}
	if !c.Request().Header.IsHTTP11() {
		return &fault{status: http.StatusHTTPVersionNotSupported, code: "http-version", detail: "a stream needs HTTP/1.1"}
	}
	if r.method == fiber.MethodHead { // fasthttp would end the body that it does not send
		c.Response().Header.SetContentLength(-1)
		return nil
	}
	st := &stream{conn: connOf(c.Context()), streams: &r.server.streams}
	if !st.streams.add(st, r.server.opts.Streams) {
		return errs.New(errs.Unavailable, "too-many-streams", "too many streams are open; try again in a few seconds").After(5 * time.Second)
	}
	if limit <= 0 {
		limit = r.server.opts.StreamTime
	}
	ctx := logs.With(logs.WithTrace(r.server.base, r.trace), slog.String("http.request.id", r.id))
	ctx, st.stop = context.WithCancelCause(ctx)
	st.ctx, st.cancel = context.WithDeadlineCause(ctx, time.Now().Add(limit), errStreamTime)
	st.streams.begun(st)
	st.body = open(st.ctx)
	resp := c.Response()
	resp.ImmediateHeaderFlush = true
	resp.SetBodyStream(st, -1)
	return nil
}

// stream is fasthttp's body of an answer.
type stream struct {
	ctx     context.Context //nolint:containedctx // it is what the stream is about
	stop    context.CancelCauseFunc
	cancel  context.CancelFunc
	conn    *conn // nil in App().Test
	streams *streams
	body    io.ReadCloser
}

// Read implements io.Reader. Once the context has ended the body's error is none.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	switch {
	case n > 0 || err == nil:
		return n, nil // an error comes again
	case s.ctx.Err() == nil:
		return 0, err
	case errors.Is(context.Cause(s.ctx), errStreamGone):
		return 0, errStreamGone // nobody is there to be told
	}
	return 0, io.EOF
}

// Close implements io.Closer. fasthttp calls it whether the body was sent or not.
func (s *stream) Close() error {
	s.stop(errStreamClosed)
	s.cancel()
	s.streams.remove(s)
	return s.body.Close()
}

// streams are the open ones of a server.
type streams struct {
	count    atomic.Int64
	mu       sync.Mutex
	open     map[*stream]bool // true: begun
	draining bool
}

func (ss *streams) add(s *stream, most int) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.open) >= most {
		return false
	}
	if ss.open == nil {
		ss.open = map[*stream]bool{}
	}
	ss.open[s] = false
	ss.count.Add(1)
	return true
}

// begun has the stream end with the server. One that comes too late for it ends before it
// has begun: to browsers another status would mean that there is nothing to come back for.
func (ss *streams) begun(s *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.open[s] = true
	if ss.draining {
		s.stop(errStreamDrained)
	}
}

func (ss *streams) remove(s *stream) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if _, open := ss.open[s]; open {
		delete(ss.open, s)
		ss.count.Add(-1)
	}
}

// drain ends all streams, and those to come.
func (ss *streams) drain() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.draining = true
	for s, begun := range ss.open {
		if begun {
			s.stop(errStreamDrained)
		}
	}
}

// look ends the streams whose clients have gone: who only writes learns of that late, and
// who has nothing to write never.
func (ss *streams) look() {
	ss.mu.Lock()
	all := make([]*stream, 0, len(ss.open))
	for s, begun := range ss.open {
		if begun && s.conn != nil {
			all = append(all, s)
		}
	}
	ss.mu.Unlock()
	for _, s := range all {
		if gone(s.conn.Conn) {
			s.stop(errStreamGone)
		}
	}
}
