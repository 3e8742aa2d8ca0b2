package config_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/config"
	"souk/internal/testenv"
)

type settings struct {
	Limit int    `yaml:"limit"`
	Name  string `yaml:"name"`
}

func defaults() settings { return settings{Limit: 10, Name: "default"} }

func (s *settings) Validate() error {
	if s.Limit < 1 {
		return fmt.Errorf("limit is %d: give 1 or more", s.Limit)
	}
	return nil
}

// key is a KV key of the test's own, removed at its end.
func key(t *testing.T, consul *consulapi.Client) string {
	t.Helper()
	name := fmt.Sprintf("test/config/%s/%d", t.Name(), time.Now().UnixNano())
	t.Cleanup(func() {
		if _, err := consul.KV().Delete(name, nil); err != nil {
			t.Error(err)
		}
	})
	return name
}

func put(t *testing.T, consul *consulapi.Client, key, document string) {
	t.Helper()
	if _, err := consul.KV().Put(&consulapi.KVPair{Key: key, Value: []byte(document)}, nil); err != nil {
		t.Fatal(err)
	}
}

func options(consul *consulapi.Client, key, file string) (config.Options[settings], *prometheus.Registry) {
	registry := prometheus.NewRegistry()
	return config.Options[settings]{Consul: consul, Key: key, Defaults: defaults, StateFile: file,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: registry}, registry
}

// within waits for what follows from a change in Consul.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func client(t *testing.T) *consulapi.Client {
	t.Helper()
	consul, err := testenv.Start(t).Consul()
	if err != nil {
		t.Fatal(err)
	}
	return consul
}

func TestAPushReachesARunningServiceAndABadOneDoesNot(t *testing.T) {
	consul := client(t)
	name := key(t, consul)
	o, registry := options(consul, name, filepath.Join(t.TempDir(), "config.yaml"))
	live, err := config.Watch[settings](t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if live.Get().Limit != 10 || live.Index() != 0 {
		t.Fatalf("without a document the defaults hold, got %+v", live.Get())
	}
	var told atomic.Int64
	live.OnChange(func(s *settings) { told.Store(int64(s.Limit)) })
	if told.Load() != 10 {
		t.Error("a watcher is not told the configuration in force")
	}

	put(t, consul, name, "limit: 25")
	within(t, "the pushed limit holds", func() bool { return live.Get().Limit == 25 && told.Load() == 25 })

	refused := func() float64 { return gather(t, registry, "souk_config_refused_total") }
	for i, bad := range []string{"limit: 0", "limits: 3", "{", "limit: 1.5", "limit: 1\nlimit: 2"} {
		put(t, consul, name, bad)
		within(t, "the bad document is counted", func() bool { return refused() == float64(i+1) })
		if live.Get().Limit != 25 {
			t.Fatalf("%q changed the configuration to %+v", bad, live.Get())
		}
	}
	put(t, consul, name, "limit: 30")
	within(t, "a good one is taken after bad ones", func() bool { return live.Get().Limit == 30 })

	if _, err := consul.KV().Delete(name, nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if live.Get().Limit != 30 {
		t.Errorf("a document that vanished changed the configuration to %+v", live.Get())
	}
	put(t, consul, name, "name: again")
	within(t, "it is followed on", func() bool { return live.Get().Name == "again" && live.Get().Limit == 10 })
}

func TestReadersSeeWholeConfigurationsWhileItChanges(t *testing.T) {
	consul := client(t)
	name := key(t, consul)
	put(t, consul, name, "limit: 1\nname: n1")
	o, _ := options(consul, name, "")
	live, err := config.Watch[settings](t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	stop := make(chan struct{})
	for range 4 {
		go func() {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if s := live.Get(); s.Name != fmt.Sprintf("n%d", s.Limit) {
					done <- fmt.Errorf("torn: %+v", s)
					return
				}
			}
		}()
	}
	for i := 2; i <= 60; i++ {
		put(t, consul, name, fmt.Sprintf("limit: %d\nname: n%d", i, i))
	}
	within(t, "the last holds", func() bool { return live.Get().Limit == 60 })
	close(stop)
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A proxy stands for a Consul that goes away and comes back.
func TestAServiceStartsAndRunsWhileConsulIsAway(t *testing.T) {
	consul := client(t)
	env := testenv.Start(t)
	name := key(t, consul)
	put(t, consul, name, "limit: 7")
	target, err := url.Parse(env.ConsulAddr())
	if err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	proxy := httputil.NewSingleHostReverseProxy(target)
	token, err := env.Secret("consul-management.token")
	if err != nil {
		t.Fatal(err)
	}
	front := &http.Server{Addr: "127.0.0.1:0", ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	})}
	addr := listen(t, front)
	behind, err := consulapi.NewClient(&consulapi.Config{Address: addr, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	ctx, cancel := context.WithCancel(t.Context())
	o, _ := options(behind, name, file)
	if _, err := config.Watch[settings](ctx, o); err != nil {
		t.Fatal(err)
	}
	cancel()

	away.Store(true)
	o, _ = options(behind, name, file)
	live, err := config.Watch[settings](t.Context(), o)
	if err != nil {
		t.Fatalf("a start without Consul, with a document kept: %v", err)
	}
	if live.Get().Limit != 7 {
		t.Fatalf("got %+v, want the kept limit 7", live.Get())
	}
	o, _ = options(behind, name, filepath.Join(t.TempDir(), "nothing-kept.yaml"))
	if _, err := config.Watch[settings](t.Context(), o); err == nil || !strings.Contains(err.Error(), "none is kept") {
		t.Errorf("a start without Consul and without a kept document: %v", err)
	}

	put(t, consul, name, "limit: 8")
	away.Store(false)
	within(t, "the change made meanwhile arrives", func() bool { return live.Get().Limit == 8 })
}

func TestAStartWithAnInvalidDocumentUsesTheKeptOne(t *testing.T) {
	consul := client(t)
	name := key(t, consul)
	put(t, consul, name, "limit: -1")
	file := filepath.Join(t.TempDir(), "config.yaml")
	o, _ := options(consul, name, file)
	if _, err := config.Watch[settings](t.Context(), o); err == nil || !strings.Contains(err.Error(), "limit is -1") {
		t.Errorf("without a kept document: %v", err)
	}
	if err := os.WriteFile(file, []byte("limit: 12"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, _ = options(consul, name, file)
	live, err := config.Watch[settings](t.Context(), o)
	if err != nil || live.Get().Limit != 12 {
		t.Errorf("with a kept document: %+v, %v", live, err)
	}
}

func gather(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return 0
}

// listen serves until the test ends and returns host:port.
func listen(t *testing.T, s *http.Server) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}
