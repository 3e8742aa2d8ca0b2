package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"souk/internal/tokens"
)

// streamer sends events as the path's last segment says. open counts its streams.
type streamer struct {
	open atomic.Int64
	next chan string // of path /step: the text to send; closed: the end
}

func (s *streamer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `["list"]`)
		return
	}
	switch r.URL.Path {
	case "/v1/things/missing":
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"status":404}`)
		return
	case "/v1/things/over":
		w.WriteHeader(http.StatusNoContent)
		return
	case "/v1/things/large":
		_, _ = io.WriteString(w, strings.Repeat("a", 1<<20))
		return
	}
	s.open.Add(1)
	defer s.open.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	flush := http.NewResponseController(w)
	send := func(text string) bool {
		_, err := io.WriteString(w, text)
		return err == nil && flush.Flush() == nil
	}
	send("retry: 1000\n\n")
	switch r.URL.Path {
	case "/v1/things/step":
		for text := range s.next {
			send(text)
		}
	case "/v1/things/dies":
		panic(http.ErrAbortHandler)
	case "/v1/things/endless":
		for send("data: " + strings.Repeat("x", 4000) + "\n\n") {
		}
	default:
		<-r.Context().Done()
	}
}

func streamConfig(service string) Config {
	c := testConfig(service, Route{Path: "/v1/things/{id}", Methods: []string{"GET"}, Stream: true})
	c.Streams.Each = 1000
	return c
}

func startStreamer(t *testing.T, change func(*Config)) (*running, *streamer) {
	t.Helper()
	consul, service := realConsul(t), uniqueName()
	s := &streamer{next: make(chan string)}
	startInstance(t, consul, service, s)
	cfg := streamConfig(service)
	if change != nil {
		change(&cfg)
	}
	g := startGateway(t, consul, cfg)
	g.knows(t, service, 1)
	return g, s
}

// opened is a stream as its client has it.
type opened struct {
	conn    net.Conn
	br      *bufio.Reader
	status  int
	header  http.Header
	chunked bool
	body    io.Reader
}

// streamOf opens one; the answer's head has come.
func (r *running) streamOf(t testing.TB, path string, headers ...string) opened {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n", path)
	for _, h := range headers {
		fmt.Fprintf(c, "%s\r\n", h)
	}
	_, _ = io.WriteString(c, "\r\n")
	br := bufio.NewReaderSize(c, 512)
	res, err := http.ReadResponse(br, &http.Request{Method: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		_ = res.Body.Close() // after that it reads no rest
	})
	return opened{c, br, res.StatusCode, res.Header, slices.Contains(res.TransferEncoding, "chunked"), res.Body}
}

func (r *running) outcomes(t testing.TB, outcome string) float64 {
	return metric(t, r.registry, "souk_gateway_streams_ended_total", "outcome", outcome)
}

func TestEventsPassAsTheyComeAndTheConnectionsGoOn(t *testing.T) {
	g, s := startStreamer(t, nil)
	o := g.streamOf(t, "/v1/things/step")
	if o.status != 200 || o.header.Get("Content-Type") != "text/event-stream; charset=utf-8" || !o.chunked {
		t.Fatalf("%d %v", o.status, o.header)
	}
	body := bufio.NewReader(o.body)
	read := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(body, got); err != nil || string(got) != want {
			t.Fatalf("%q %v, want %q", got, err, want)
		}
	}
	read("retry: 1000\n\n")
	for i := range 5 { // each is here before the next is sent
		event := fmt.Sprintf("id: %d\ndata: {}\n\n", i)
		s.next <- event
		read(event)
	}
	if n := metric(t, g.registry, "souk_gateway_streams"); n != 1 {
		t.Errorf("%v are open in the metrics", n)
	}
	close(s.next)
	if rest, err := io.ReadAll(body); err != nil || len(rest) != 0 {
		t.Errorf("at the end: %q %v", rest, err)
	}
	for range 3 { // on the same connection; the streams' one to the service too
		fmt.Fprint(o.conn, "GET /v1/things/over HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
		next, err := http.ReadResponse(o.br, &http.Request{Method: "GET"})
		if err != nil || next.StatusCode != 204 || next.Body.Close() != nil {
			t.Fatalf("after it: %v %v", next, err)
		}
	}
	if n := g.outcomes(t, "complete"); n != 1 {
		t.Errorf("%v complete", n)
	}
	// Whatever is no stream is an answer as on any route.
	if a := call(t, "GET", g.url+"/v1/things/x", ""); a.text != `["list"]` || a.ContentLength != 8 {
		t.Errorf("JSON: %s %v", a.text, a.Header)
	}
	if a := call(t, "GET", g.url+"/v1/things/missing", "", "Accept", "text/event-stream"); a.StatusCode != 404 || a.text != `{"status":404}` {
		t.Errorf("a problem: %s %s", a.Status, a.text)
	}
	if a := call(t, "HEAD", g.url+"/v1/things/x", "", "Accept", "application/json"); a.StatusCode != 200 {
		t.Errorf("HEAD: %s", a.Status)
	}
}

func TestAnAnswerThatIsNoStreamStaysBounded(t *testing.T) {
	g, _ := startStreamer(t, func(c *Config) { c.Upstream.ResponseLimit = 64 << 10 })
	if p := call(t, "GET", g.url+"/v1/things/large", "", "Accept", "text/event-stream").problem(t); p.Code != "bad-answer" {
		t.Errorf("%+v", p)
	}
}

func TestAStreamThatTheServiceBreaksOffIsBrokenOff(t *testing.T) {
	g, s := startStreamer(t, func(c *Config) { c.Streams.IdleTimeout = time.Second })
	for _, path := range []string{"/v1/things/dies", "/v1/things/silent"} { // silent: without heartbeats
		if body, err := io.ReadAll(g.streamOf(t, path).body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %q %v: the client takes it for the end", path, body, err)
		}
	}
	eventually(t, "all ended", func() bool { return s.open.Load() == 0 && g.outcomes(t, "broken") == 2 })
}

func TestAClientThatLeavesEndsItsStreamAtTheService(t *testing.T) {
	g, s := startStreamer(t, nil)
	o := g.streamOf(t, "/v1/things/silent")
	eventually(t, "the start", func() bool { return s.open.Load() == 1 })
	_ = o.conn.Close()
	eventually(t, "the end", func() bool { return s.open.Load() == 0 && g.outcomes(t, "left") == 1 })
}

func TestClientsThatNeverReadHoldNothingUp(t *testing.T) {
	g, s := startStreamer(t, func(c *Config) { c.Listen.WriteTimeout = 500 * time.Millisecond })
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 10 {
		g.streamOf(t, "/v1/things/endless")
	}
	if a := call(t, "GET", g.url+"/v1/things/x", ""); a.StatusCode != 200 {
		t.Errorf("beside them: %s", a.Status)
	}
	eventually(t, "they are cut off", func() bool { return s.open.Load() == 0 && g.outcomes(t, "left") == 10 })
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	if grown := int64(after.Sys) - int64(before.Sys); grown > 64<<20 {
		t.Errorf("%d MiB more", grown>>20)
	}
}

func TestADrainEndsStreamsAsWhole(t *testing.T) {
	g, s := startStreamer(t, nil)
	results := make(chan error, 20)
	for range cap(results) {
		o := g.streamOf(t, "/v1/things/silent")
		go func() {
			_, err := io.ReadAll(o.body)
			results <- err
		}()
	}
	began := time.Now()
	g.stop()
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took > 10*time.Second { // less than a drain may take
		t.Errorf("it took %s", took)
	}
	eventually(t, "the service's ends", func() bool { return s.open.Load() == 0 })
}

func TestAStreamEndsWithItsTokenAndIsOneOfFew(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	s := &streamer{}
	startInstance(t, consul, service, s)
	cfg := testConfig(service, Route{Path: "/v1/things/{id}", Methods: []string{"GET"}, Authenticated: true, Stream: true})
	cfg.Streams.Each = 2
	g := startGateway(t, consul, cfg)
	g.knows(t, service, 1)
	path, claims := "/v1/things/silent", g.issuer.Claims()
	mine, other := "Authorization: Bearer "+g.issuer.Sign(claims), "Authorization: Bearer "+g.issuer.User()
	first, second := g.streamOf(t, path, mine), g.streamOf(t, path, mine)
	if third := g.streamOf(t, path, mine); third.status != http.StatusTooManyRequests {
		t.Errorf("the third: %d", third.status)
	}
	if others := g.streamOf(t, path, other); others.status != 200 {
		t.Errorf("somebody else's: %d", others.status)
	}
	g.issuer.Revoke(tokens.Revocation{Kind: "session", ID: fmt.Sprint(claims["sid"])})
	began := time.Now()
	for _, o := range []opened{first, second} {
		if _, err := io.ReadAll(o.body); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	eventually(t, "room again", func() bool { return g.outcomes(t, "revoked") == 2 && s.open.Load() == 1 })

	claims = g.issuer.Claims()
	claims["exp"] = time.Now().Add(2 * time.Second).Unix()
	o := g.streamOf(t, path, "Authorization: Bearer "+g.issuer.Sign(claims))
	if _, err := io.ReadAll(o.body); o.status != 200 || err != nil {
		t.Errorf("one that expires: %d %v", o.status, err)
	}
}

func TestFiveHundredStreamsAreCheap(t *testing.T) {
	const streams = 500
	g, s := startStreamer(t, func(c *Config) { c.Upstream.Connections = 4 }) // of the others
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range streams {
		g.streamOf(t, "/v1/things/silent")
	}
	if s.open.Load() != streams {
		t.Errorf("%d are open", s.open.Load())
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	use := func(m runtime.MemStats) uint64 { return m.HeapAlloc + m.StackInuse }
	each := int64(use(after)-use(before)) / streams
	t.Logf("%d KiB a stream: client, gateway and service together", each>>10)
	if each > 160<<10 {
		t.Errorf("%d bytes a stream", each)
	}
	if a := call(t, "GET", g.url+"/v1/things/x", ""); a.StatusCode != 200 {
		t.Errorf("beside them: %s", a.Status)
	}
}

func TestAPublicRoutePassesOnWhatTheServiceReadsItself(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(r.Header) }))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	a := call(t, "POST", g.url+"/v1/things", "{}", "Authorization", "Bearer not-even-checked", "Cart-Token", "c4rt", "Idempotency-Key", `"k"`)
	var got http.Header
	if err := json.Unmarshal([]byte(a.text), &got); err != nil {
		t.Fatal(err)
	}
	if got.Get("Authorization") != "Bearer not-even-checked" || got.Get("Cart-Token") != "c4rt" || got.Get("Idempotency-Key") != `"k"` {
		t.Errorf("%v", got)
	}
}
