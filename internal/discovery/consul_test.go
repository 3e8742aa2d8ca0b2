package discovery_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"souk/internal/discovery"
	"souk/internal/testenv"
)

// consul is the real one, with a token that may do everything.
func consul(t *testing.T) *consulapi.Client {
	t.Helper()
	client, err := testenv.Start(t).Consul()
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// managementToken is the secret of consul's token.
func managementToken(t *testing.T) string {
	t.Helper()
	token, err := testenv.Start(t).Secret("consul-management.token")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// serviceName is one that no other test uses.
func serviceName() string { return "test-" + strings.ToLower(rand.Text()[:10]) }

// register puts an instance into the catalogue for the rest of the test.
func register(t *testing.T, client *consulapi.Client, service, address string) (id string, deregister func()) {
	t.Helper()
	id = service + "-" + address
	stop, err := discovery.Register(t.Context(), client, discovery.Registration{Service: service, ID: id, Address: address}, discovery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	deregister = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := stop(ctx); err != nil {
			t.Errorf("deregister: %v", err)
		}
	}
	t.Cleanup(deregister)
	return id, deregister
}

// path is the way to the real Consul, which a test can spoil.
type path struct {
	spoil   atomic.Pointer[func(w http.ResponseWriter, r *http.Request) (done bool)]
	alter   atomic.Pointer[func(http.Header)]
	queries atomic.Int64
	client  *consulapi.Client
	server  *httptest.Server
}

func through(t *testing.T) *path {
	t.Helper()
	target, err := url.Parse(testenv.Start(t).ConsulAddr())
	if err != nil {
		t.Fatal(err)
	}
	p := &path{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	proxy.ModifyResponse = func(res *http.Response) error {
		if f := p.alter.Load(); f != nil {
			(*f)(res.Header)
		}
		return nil
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.queries.Add(1)
		if f := p.spoil.Load(); f != nil && (*f)(w, r) {
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(p.server.Close)
	t.Cleanup(p.server.CloseClientConnections)
	if p.client, err = consulapi.NewClient(&consulapi.Config{Address: p.server.URL, Token: managementToken(t)}); err != nil {
		t.Fatal(err)
	}
	return p
}

// cut makes Consul unreachable: open connections break and new ones get no answer.
func (p *path) cut() {
	p.answer(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
}

func (p *path) answer(f func(http.ResponseWriter, *http.Request) bool) {
	p.spoil.Store(&f)
	p.server.CloseClientConnections()
}

func (p *path) heal() { p.spoil.Store(nil) }

func watch(t *testing.T, client *consulapi.Client, service string, opts discovery.Options) *discovery.Watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w, err := discovery.Watch(ctx, client, service, opts)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		<-w.Done()
	})
	return w
}

func ids(list []discovery.Instance) string {
	out := make([]string, len(list))
	for i, in := range list {
		out[i] = in.ID
	}
	return strings.Join(out, " ")
}

// eventually waits for a condition that must come.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// notes collects what is logged.
type notes struct {
	mu   sync.Mutex
	text strings.Builder
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

func (n *notes) contain(s string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Contains(n.text.String(), s)
}
