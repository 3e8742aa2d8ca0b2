package stripe_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"souk/services/payments/provider/stripe"
)

// mock is Stripe's own server for tests, of which each test program starts one. It refuses what their OpenAPI document
// does not allow, and knows no states: what it answers is an example.
var mock struct {
	once sync.Once
	url  *url.URL
	err  error
	stop func()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if mock.stop != nil {
		mock.stop()
	}
	os.Exit(code)
}

func startMock() (*url.URL, func(), error) {
	dir, err := os.MkdirTemp("", "stripe-mock")
	if err != nil {
		return nil, nil, err
	}
	program := filepath.Join(dir, "stripe-mock")
	build := exec.Command("go", "build", "-mod=readonly", "-o", program, "github.com/stripe/stripe-mock")
	build.Dir, build.Env = filepath.Join("..", "..", "..", "..", "stack", "stripe-mock"), append(os.Environ(), "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("build stripe-mock: %w: %s", err, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stop := func() {
		cancel()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "Listening for HTTP at address: "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &url.URL{Scheme: "http", Host: address}, stop, nil
		}
	}
	stop()
	return nil, nil, fmt.Errorf("stripe-mock does not say where it listens: %w", lines.Err())
}

// call that Stripe got.
type call struct {
	Method, Path, Key, Version string
	Form                       url.Values
}

func (c call) String() string { return c.Method + " " + c.Path }

// api stands before stripe-mock: it notes what is called, puts states into its answers, and gives those that it can't.
type api struct {
	t     *testing.T
	mu    sync.Mutex
	calls []call
	// answer may answer by itself, or return false.
	answer func(w http.ResponseWriter, c call) bool
	// states are the members that stripe-mock's example gets, by method and path.
	states map[string]map[string]any
}

func serve(t *testing.T) (*api, *stripe.Provider) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts stripe-mock; -short leaves it out")
	}
	mock.once.Do(func() { mock.url, mock.stop, mock.err = startMock() })
	if mock.err != nil {
		t.Fatal(mock.err)
	}
	a := &api{t: t, states: map[string]map[string]any{}}
	proxy := httputil.NewSingleHostReverseProxy(mock.url)
	proxy.ModifyResponse = a.amend
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		for name, values := range r.URL.Query() {
			form[name] = values
		}
		c := call{Method: r.Method, Path: r.URL.Path, Key: r.Header.Get("Idempotency-Key"), Version: r.Header.Get("Stripe-Version"), Form: form}
		a.mu.Lock()
		a.calls = append(a.calls, c)
		answer := a.answer
		a.mu.Unlock()
		if answer != nil && answer(w, c) {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return a, stripe.New(stripe.Options{
		URL: server.URL, Timeout: 5 * time.Second,
		APIKey: func() string { return "sk_test_123" }, WebhookSecrets: func() []string { return nil },
	})
}

// amend puts the state of the test's into an example. That stripe-mock refused the request is the test's failure.
func (a *api) amend(res *http.Response) error {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		a.t.Errorf("stripe-mock refuses %s %s: %s", res.Request.Method, res.Request.URL, body)
	}
	var example map[string]any
	if err := json.Unmarshal(body, &example); err != nil {
		return err
	}
	for name, value := range a.states[res.Request.Method+" "+res.Request.URL.Path] {
		example[name] = value
	}
	if body, err = json.Marshal(example); err != nil {
		return err
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res.Header.Del("Content-Length")
	return nil
}

// called gives the calls so far, "POST /v1/payment_intents", and forgets them.
func (a *api) called() (names []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.calls {
		names = append(names, c.String())
	}
	a.calls = nil
	return names
}

func (a *api) last() call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[len(a.calls)-1]
}

// fail answers the calls of a name with an error as Stripe documents it, one after the other; then stripe-mock answers.
func (a *api) fail(name string, failures ...failure) {
	a.answerBy(func(w http.ResponseWriter, c call) bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		if c.String() != name || len(failures) == 0 {
			return false
		}
		f := failures[0]
		failures = slices.Delete(failures, 0, 1)
		f.write(w)
		return true
	})
}

func (a *api) answerBy(answer func(w http.ResponseWriter, c call) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// failure is an error answer.
type failure struct {
	status                int
	kind, code, declineBy string
	intent                map[string]any
}

func (f failure) write(w http.ResponseWriter) {
	e := map[string]any{"type": f.kind, "message": "for sk_test_123, pi_1_secret_abc"}
	if f.code != "" {
		e["code"] = f.code
	}
	if f.declineBy != "" {
		e["decline_code"] = f.declineBy
	}
	if f.intent != nil {
		e["payment_intent"] = f.intent
	}
	body, _ := json.Marshal(map[string]any{"error": e})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", "req_1")
	w.WriteHeader(f.status)
	_, _ = w.Write(body)
}
