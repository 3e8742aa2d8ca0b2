package store_test

import (
	"context"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"souk/services/catalog/store"
	"souk/services/catalog/store/mongotest"
)

// on runs a test with a store on each kind of server.
func on(t *testing.T, test func(t *testing.T, s *store.Store, uri, database string)) {
	mongotest.Each(t, func(t *testing.T, uri, database string) {
		s := open(t, uri, database)
		if err := s.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(t, s, uri, database)
	})
}

// open is one instance's store.
func open(t *testing.T, uri, database string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{URI: uri, Database: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v, jsontext.WithIndent(" "))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// gate stands between a client and its server, and can be closed.
type gate struct {
	uri    string
	server string
	mu     sync.Mutex
	mode   string // "" passes, "refuse" closes connections, "swallow" lets nothing through
	open   []net.Conn
	change *sync.Cond
}

func newGate(t *testing.T, uri string) *gate {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{server: u.Host}
	g.change = sync.NewCond(&g.mu)
	u.Host = l.Addr().String()
	g.uri = u.String()
	t.Cleanup(func() {
		_ = l.Close()
		g.refuse()
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			g.serve(client)
		}
	}()
	return g
}

func (g *gate) serve(client net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mode == "refuse" {
		_ = client.Close()
		return
	}
	server, err := net.Dial("tcp", g.server)
	if err != nil {
		_ = client.Close()
		return
	}
	g.open = append(g.open, client, server)
	go g.copy(server, client)
	go g.copy(client, server)
}

func (g *gate) copy(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		g.mu.Lock()
		for g.mode == "swallow" {
			g.change.Wait()
		}
		g.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (g *gate) set(mode string, closeAll bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mode = mode
	if closeAll {
		for _, c := range g.open {
			_ = c.Close()
		}
		g.open = nil
	}
	g.change.Broadcast()
}

func (g *gate) refuse()  { g.set("refuse", true) }
func (g *gate) swallow() { g.set("swallow", false) }

// pass drops what was swallowed with its connections: a write whose client gave up
// must not arrive later and confuse the test.
func (g *gate) pass() { g.set("", true) }
