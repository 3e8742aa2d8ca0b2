package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"souk/internal/logs"
)

// EventStreamType is the media type of server-sent events (HTML Standard, section 9.2).
const EventStreamType = "text/event-stream"

// Event is one server-sent event.
type Event struct {
	ID   string // the client sends the last one as Last-Event-ID when it comes again; "" changes nothing
	Name string // its type, which clients listen for; "" is "message"
	Data []byte // as a rule one JSON value
}

// WantsEvents reports whether the client asks for server-sent events rather than JSON,
// which it gets if it does not say. The answer, whichever it is, says that it depends on Accept.
func WantsEvents(c *fiber.Ctx) bool {
	c.Vary(fiber.HeaderAccept)
	return c.Accepts(JSONType, EventStreamType) == EventStreamType
}

const maxEventID = 128

// LastEventID is the id of the last event that a client has seen that comes again; "" if
// there is none, or none that could be ours.
func LastEventID(c *fiber.Ctx) string {
	id := c.Get("Last-Event-ID")
	if len(id) > maxEventID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return id
}

// SendEvents answers with server-sent events. run sends them, in a goroutine of its own
// that may outlive the handler: it must not use c. Everything that could be a problem must
// be done before, as the status is 200 from here on.
//
// ctx is that of SendStream: when it ends run must return. If it returns nil, or ctx has
// ended, the stream ends cleanly. Any other error, and a panic, is logged and breaks the
// connection off. Browsers come again in either case, a second later, with the id of the
// last event that they have seen; who has nothing more to tell, ever, answers with 204.
//
// Heartbeats, comments that clients pass over, are sent while run is silent, every
// Options.Heartbeat.
func SendEvents(c *fiber.Ctx, run func(ctx context.Context, w *EventWriter) error) error {
	r := requestOf(c.Context())
	if r == nil {
		return errors.New("events need a server of this package")
	}
	log, heartbeat := r.server.opts.Log, r.server.opts.Heartbeat
	err := SendStream(c, 0, func(ctx context.Context) io.ReadCloser {
		b := &eventBody{events: make(chan []byte), ended: make(chan error, 1), text: []byte(eventRetry), heartbeat: time.NewTicker(heartbeat), every: heartbeat}
		b.done = ctx.Done()
		b.start = func() { b.ended <- runEvents(ctx, log, run, &EventWriter{ctx, b.events}) }
		return b
	})
	if err != nil {
		return err
	}
	c.Response().Header.SetContentType(EventStreamType)
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Accel-Buffering", "no") // to an nginx in front of us
	return nil
}

// eventRetry is how many milliseconds a browser waits before it comes again: instances that
// are replaced end many streams at once.
const eventRetry = "retry: 1000\n\n"

// runEvents gives nil, or an error that was logged.
func runEvents(ctx context.Context, log *slog.Logger, run func(context.Context, *EventWriter) error, w *EventWriter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			log.ErrorContext(ctx, "a stream of events panicked", logs.Err(err), slog.String("error.stack_trace", string(debug.Stack())))
		}
	}()
	err = run(ctx, w)
	if err != nil && ctx.Err() == nil {
		log.ErrorContext(ctx, "a stream of events broke off", logs.Err(err))
		return err
	}
	return nil
}

// EventWriter sends the events of one stream. It is for one goroutine.
type EventWriter struct {
	ctx    context.Context //nolint:containedctx // the stream's
	events chan<- []byte
}

// Send waits until the event before has been sent. An error, of a malformed event or as
// the stream has ended, is for run to return.
func (w *EventWriter) Send(e Event) error {
	text, err := e.text()
	if err != nil {
		return err
	}
	select {
	case w.events <- text:
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// text writes an event. Lines of data may end in any way.
func (e Event) text() ([]byte, error) {
	if strings.ContainsAny(e.ID, "\r\n\x00") || strings.ContainsAny(e.Name, "\r\n") {
		return nil, errors.New("an event's id or name has a line break")
	}
	b := make([]byte, 0, len(e.ID)+len(e.Name)+len(e.Data)+32)
	if e.ID != "" {
		b = append(append(append(b, "id: "...), e.ID...), '\n')
	}
	if e.Name != "" {
		b = append(append(append(b, "event: "...), e.Name...), '\n')
	}
	data := e.Data
	if bytes.IndexByte(data, '\r') >= 0 {
		data = bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
	}
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		b = append(append(append(b, "data: "...), line...), '\n')
	}
	return append(b, '\n'), nil
}

// eventBody is what SendStream reads.
type eventBody struct {
	start     func() // nil: it has been
	events    chan []byte
	ended     chan error // what run gave
	done      <-chan struct{}
	text      []byte // what is left of the last event
	heartbeat *time.Ticker
	every     time.Duration
}

// Read implements io.Reader. An event that has begun is finished.
func (b *eventBody) Read(p []byte) (int, error) {
	if b.start != nil { // not before: the handler may yet fail
		go b.start()
		b.start = nil
	}
	if len(b.text) == 0 {
		select {
		case <-b.done: // before what else may be ready
			return 0, io.EOF
		default:
		}
		select {
		case b.text = <-b.events:
			b.heartbeat.Reset(b.every)
		case <-b.heartbeat.C:
			b.text = []byte(":\n\n")
		case err := <-b.ended:
			b.ended <- err
			if err == nil {
				err = io.EOF
			}
			return 0, err
		case <-b.done:
			return 0, io.EOF
		}
	}
	n := copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

// Close implements io.Closer. The stream's context has ended, and run with it.
func (b *eventBody) Close() error {
	b.heartbeat.Stop()
	return nil
}
