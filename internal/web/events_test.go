package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
)

// eventRoutes are streams that behave as their names say. open counts those that run.
func eventRoutes(open *atomic.Int64) func(*fiber.App) {
	send := func(run func(ctx context.Context, w *EventWriter) error) fiber.Handler {
		return func(c *fiber.Ctx) error {
			return SendEvents(c, func(ctx context.Context, w *EventWriter) error {
				open.Add(1)
				defer open.Add(-1)
				return run(ctx, w)
			})
		}
	}
	return func(app *fiber.App) {
		app.Get("/two", send(func(_ context.Context, w *EventWriter) error {
			return errors.Join(w.Send(Event{ID: "1", Name: "placed", Data: []byte(`{"a":1}`)}), w.Send(Event{Data: []byte("x\r\ny\rz\n")}))
		}))
		app.Get("/silent", send(func(ctx context.Context, _ *EventWriter) error { <-ctx.Done(); return ctx.Err() }))
		app.Get("/endless", send(func(_ context.Context, w *EventWriter) error {
			for {
				if err := w.Send(Event{Data: []byte(strings.Repeat("x", 8<<10))}); err != nil {
					return err
				}
			}
		}))
		app.Get("/fails", send(func(_ context.Context, w *EventWriter) error {
			return errors.Join(w.Send(Event{ID: "1"}), errors.New("the database is away"))
		}))
		app.Get("/panics", send(func(context.Context, *EventWriter) error { panic("boom") }))
		app.Get("/split", send(func(_ context.Context, w *EventWriter) error { return w.Send(Event{ID: "1\nevent: evil"}) }))
		app.Get("/either", func(c *fiber.Ctx) error {
			if WantsEvents(c) {
				return SendEvents(c, func(context.Context, *EventWriter) error { return nil })
			}
			return Send(c, 200, LastEventID(c))
		})
	}
}

// stream opens one: its connection, status and body.
func (r *running) stream(path string) (net.Conn, int, io.Reader) {
	r.t.Helper()
	c := r.dial()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", path); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "GET"})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = c.Close()
		_ = resp.Body.Close() // after that it reads no rest
	})
	return c, resp.StatusCode, resp.Body
}

func TestEventsArriveAsTheyWereSentAndTheConnectionGoesOn(t *testing.T) {
	var open atomic.Int64
	r := start(t, Options{}, eventRoutes(&open))
	c := r.dial()
	br := bufio.NewReader(c)
	for range 3 {
		_, _ = io.WriteString(c, "GET /two HTTP/1.1\r\nHost: x\r\n\r\n")
		a := r.read(br, "GET")
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s %v", a.Status, a.Header)
		}
		if want := "retry: 1000\n\nid: 1\nevent: placed\ndata: {\"a\":1}\n\ndata: x\ndata: y\ndata: z\ndata: \n\n"; string(a.body) != want {
			t.Errorf("got %q", a.body)
		}
	}
	for range 2 { // nothing stands between the two answers
		_, _ = io.WriteString(c, "HEAD /silent HTTP/1.1\r\nHost: x\r\n\r\n")
		if a := r.read(br, "HEAD"); a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" || len(a.body) != 0 || open.Load() != 0 {
			t.Errorf("HEAD: %s %v, %d run", a.Status, a.Header, open.Load())
		}
	}
	if a := r.raw("GET /two HTTP/1.0\nHost: x\n\n"); a.StatusCode != http.StatusHTTPVersionNotSupported {
		t.Errorf("HTTP/1.0: %s", a.Status)
	}
}

func TestTheAcceptHeaderDecidesBetweenEventsAndJSON(t *testing.T) {
	r := start(t, Options{}, eventRoutes(new(atomic.Int64)))
	for accept, want := range map[string]string{
		"": JSONType, "*/*": JSONType, "application/json": JSONType, "text/event-stream": EventStreamType,
		"text/event-stream, */*;q=0.1": EventStreamType, "application/json, text/event-stream;q=0.5": JSONType, "image/png": JSONType,
	} {
		a := r.do("GET", "/either", nil, "Accept: "+accept)
		if got := a.Header.Get("Content-Type"); got != want || a.Header.Get("Vary") != "Accept" {
			t.Errorf("%q: %q, Vary %q", accept, got, a.Header.Get("Vary"))
		}
	}
	for id, want := range map[string]string{"7": "7", "a b": "", strings.Repeat("9", 129): "", "é": ""} {
		if a := r.do("GET", "/either", nil, "Last-Event-ID: "+id); string(a.body) != `"`+want+`"` {
			t.Errorf("%q: %s", id, a.body)
		}
	}
}

func TestAStreamThatFailsIsBrokenOffAndLogged(t *testing.T) {
	var open atomic.Int64
	r := start(t, Options{}, eventRoutes(&open))
	for path, logged := range map[string]string{"/fails": "the database is away", "/panics": "boom", "/split": "line break"} {
		_, _, events := r.stream(path)
		body, err := io.ReadAll(events)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %q, %v: the client takes it for the end", path, body, err)
		}
		if strings.Contains(string(body), logged) || strings.Contains(string(body), "evil") || len(r.log.with(logged)) == 0 {
			t.Errorf("%s: %q; the log: %s", path, body, r.log)
		}
	}
	eventually(t, "all ended", func() bool { return open.Load() == 0 && r.streams.count.Load() == 0 })
}

func TestASilentStreamIsKeptAliveUntilItsTime(t *testing.T) {
	r := start(t, Options{Heartbeat: 20 * time.Millisecond, StreamTime: 500 * time.Millisecond}, eventRoutes(new(atomic.Int64)))
	_, _, events := r.stream("/silent")
	body, err := io.ReadAll(events)
	if err != nil || strings.Count(string(body), ":\n\n") < 2 {
		t.Errorf("%q %v", body, err)
	}
}

func TestAStreamEndsWhenItsClientHasGone(t *testing.T) {
	ca := newAuthority(t)
	for _, secure := range []bool{false, true} {
		var open atomic.Int64
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var client *tls.Config
		if secure {
			ln, client = tls.NewListener(ln, ca.server()), ca.client("gateway")
		}
		r := startOn(t, ln, client, Options{}, eventRoutes(&open))
		c, _, events := r.stream("/silent")
		b := make([]byte, 100)
		if n, err := events.Read(b); err != nil || open.Load() != 1 {
			t.Fatalf("%q %v", b[:n], err)
		}
		_ = c.Close()
		eventually(t, "the end", func() bool { return open.Load() == 0 && r.conns.count() == 0 })
	}
}

func TestAClientThatNeverReadsIsCutOff(t *testing.T) {
	var open atomic.Int64
	r := start(t, Options{WriteTimeout: 300 * time.Millisecond}, eventRoutes(&open))
	c := r.dial()
	_, _ = io.WriteString(c, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the start", func() bool { return open.Load() == 1 })
	eventually(t, "the end", func() bool { return open.Load() == 0 && r.streams.count.Load() == 0 })
}

func TestADrainEndsStreamsWholly(t *testing.T) {
	var open atomic.Int64
	r := start(t, Options{DrainTimeout: 10 * time.Second}, eventRoutes(&open))
	type result struct {
		body []byte
		err  error
	}
	results := make(chan result, 20)
	for i := range cap(results) {
		_, _, events := r.stream([]string{"/silent", "/endless"}[i%2])
		go func() {
			body, err := io.ReadAll(events)
			results <- result{body, err}
		}()
	}
	eventually(t, "all are open", func() bool { return open.Load() == int64(cap(results)) })
	began := time.Now()
	r.stop()
	if err := r.ended(); err != nil {
		t.Fatal(err)
	}
	for range cap(results) {
		if got := <-results; got.err != nil || !strings.HasSuffix(string(got.body), "\n\n") {
			t.Errorf("%v after %d bytes", got.err, len(got.body))
		}
	}
	if took := time.Since(began); took > 8*time.Second { // as long as the drain may take, if it waited for them
		t.Errorf("it took %s", took)
	}
	if open.Load() != 0 {
		t.Errorf("%d run still", open.Load())
	}
}

func TestStreamsAreLimitedAndLeaveRoomForOthers(t *testing.T) {
	var open atomic.Int64
	r := start(t, Options{Streams: 3, Concurrency: 1, BodyMemory: 256 << 10, BodyLimit: 256 << 10}, func(app *fiber.App) {
		eventRoutes(&open)(app)
		app.Post("/size", func(c *fiber.Ctx) error { return Send(c, 200, len(c.Body())) })
	})
	var first net.Conn
	for range 3 {
		first, _, _ = r.stream("/silent")
	}
	a := r.do("GET", "/silent", nil)
	wantProblem(t, a, 503, "too-many-streams")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if a := r.do("POST", "/size", strings.NewReader(strings.Repeat("x", 200<<10))); string(a.body) != "204800" {
		t.Errorf("beside them: %s %s", a.Status, a.body)
	}
	_ = first.Close()
	eventually(t, "one ends", func() bool { return open.Load() == 2 })
	eventually(t, "room for another", func() bool { return r.streams.count.Load() == 2 })
	if _, status, _ := r.stream("/silent"); status != 200 {
		t.Errorf("after one has gone: %d", status)
	}
}
