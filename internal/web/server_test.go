package web

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"souk/internal/logs"
)

// running is a server on a real TCP port of this machine.
type running struct {
	*Server
	t    testing.TB
	addr string
	tls  *tls.Config // the client's; nil: plain TCP
	log  *lines
	stop context.CancelFunc
	done chan error // Serve's answer
}

// start serves the routes until the test ends.
func start(t testing.TB, opts Options, routes func(*fiber.App)) *running {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, ln, nil, opts, routes)
}

func startOn(t testing.TB, ln net.Listener, client *tls.Config, opts Options, routes func(*fiber.App)) *running {
	t.Helper()
	log := &lines{}
	opts.Service, opts.Log = "probe", logs.New(log, "probe", "1.2.3", "probe-1", "test", slog.LevelDebug)
	if opts.DrainDelay == 0 {
		opts.DrainDelay = 10 * time.Millisecond
	}
	s := New(opts)
	if routes != nil {
		routes(s.App())
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Server: s, t: t, addr: ln.Addr().String(), tls: client, log: log, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-r.done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("Serve did not end")
		}
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return r
}

// ended waits for Serve and keeps its answer for the clean-up.
func (r *running) ended() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(30 * time.Second):
		r.t.Fatal("Serve did not end")
		return nil
	}
}

func (r *running) url(path string) string {
	if r.tls != nil {
		return "https://" + r.addr + path
	}
	return "http://" + r.addr + path
}

// client keeps connections of its own.
func (r *running) client() *http.Client {
	tr := &http.Transport{TLSClientConfig: r.tls, MaxIdleConnsPerHost: 100}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (r *running) dial() net.Conn {
	r.t.Helper()
	var c net.Conn
	var err error
	if r.tls != nil {
		c, err = tls.Dial("tcp", r.addr, r.tls)
	} else {
		c, err = net.Dial("tcp", r.addr)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// answer is a response with its whole body.
type answer struct {
	*http.Response
	body []byte
}

// raw sends bytes and reads one answer. Line ends in the text are LF and sent as CRLF.
func (r *running) raw(text string) answer {
	r.t.Helper()
	c := r.dial()
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		r.t.Logf("send: %v", err)
	}
	return r.read(bufio.NewReader(c), "GET")
}

func (r *running) read(br *bufio.Reader, method string) answer {
	r.t.Helper()
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		r.t.Fatalf("no answer: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("read the answer: %v", err)
	}
	return answer{resp, body}
}

// do sends a request with headers as "Name: value".
func (r *running) do(method, path string, body io.Reader, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url(path), body)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := r.client().Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp, b}
}

// wantProblem checks everything that all problems have in common.
func wantProblem(t testing.TB, a answer, status int, code string) Problem {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d; body %s", a.StatusCode, status, a.body)
	}
	if ct := a.Header.Get("Content-Type"); ct != ProblemType {
		t.Errorf("Content-Type %q, want %q; body %.200s", ct, ProblemType, a.body)
	}
	var p Problem
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	if p.Status != status || p.Code != code || p.Type != "/problems/"+code || p.Title == "" {
		t.Errorf("problem %s, want status %d and code %q", a.body, status, code)
	}
	if p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id") || len(p.TraceID) != 32 {
		t.Errorf("ids of %s; X-Request-Id %q", a.body, a.Header.Get("X-Request-Id"))
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", a.Header)
	}
	return p
}

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// with returns the log lines that contain the text.
func (l *lines) with(text string) (found []map[string]any) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			m := map[string]any{}
			if json.Unmarshal([]byte(line), &m) == nil {
				found = append(found, m)
			}
		}
	}
	return found
}

// eventually waits for something that another goroutine does.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within 10 s", what)
}
