package discovery_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"souk/internal/discovery"
)

func TestAWatcherFollowsPassingInstances(t *testing.T) {
	client, service := consul(t), serviceName()
	w := watch(t, client, service, discovery.Options{})
	if n := len(w.Instances()); n != 0 {
		t.Fatalf("%d instances before any is registered", n)
	}
	var mu sync.Mutex
	var told []string
	w.OnChange(func(list []discovery.Instance) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, ids(list))
	})
	b, stopB := register(t, client, service, "127.0.0.1:1002")
	eventually(t, "one instance", func() bool { return ids(w.Instances()) == b })
	a, _ := register(t, client, service, "127.0.0.1:1001")
	eventually(t, "two, sorted", func() bool { return ids(w.Instances()) == a+" "+b })

	err := client.Agent().UpdateTTL("alive:"+a, "it hurts", consulapi.HealthCritical)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a critical instance leaves", func() bool { return ids(w.Instances()) == b })
	if err := client.Agent().UpdateTTL("alive:"+a, "", consulapi.HealthPassing); err != nil {
		t.Fatal(err)
	}
	eventually(t, "and comes back", func() bool { return ids(w.Instances()) == a+" "+b })
	stopB()
	eventually(t, "a deregistered one leaves", func() bool { return ids(w.Instances()) == a })

	mu.Lock()
	defer mu.Unlock()
	if want := []string{"", b, a + " " + b, b, a + " " + b, a}; !slices.Equal(told, want) {
		t.Errorf("OnChange told %q, want %q", told, want)
	}
}

func TestAnInstanceIsAsItWasRegistered(t *testing.T) {
	client, service := consul(t), serviceName()
	stop, err := discovery.Register(t.Context(), client, discovery.Registration{
		Service: service, ID: service + "-x", Address: "[::1]:1234", Tags: []string{"canary"}, Meta: map[string]string{"version": "7"}, Weight: 3,
	}, discovery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop(context.Background()) })
	w := watch(t, client, service, discovery.Options{})
	eventually(t, "it is there", func() bool { return len(w.Instances()) == 1 })
	in := w.Instances()[0]
	if in.ID != service+"-x" || in.Address != "[::1]:1234" || in.Weight != 3 || in.Meta["version"] != "7" || !slices.Equal(in.Tags, []string{"canary"}) || in.Node == "" {
		t.Errorf("got %+v", in)
	}
}

func TestWhileConsulIsAwayTheLastGoodListServes(t *testing.T) {
	client, service := consul(t), serviceName()
	for name, spoil := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"connections break": func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"no leader": func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "No cluster leader", http.StatusInternalServerError)
			return true
		},
		"rate limited": func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "rate limit exceeded", http.StatusTooManyRequests)
			return true
		},
		"not JSON": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("X-Consul-Index", "1")
			_, _ = w.Write([]byte(`<html>`))
			return true
		},
		"token dead": func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "ACL not found", http.StatusForbidden)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := through(t)
			a, _ := register(t, client, service, "127.0.0.1:1001")
			w := watch(t, p.client, service, discovery.Options{Grace: -1})
			eventually(t, "one instance", func() bool { return ids(w.Instances()) == a })
			p.answer(spoil)
			b, stopB := register(t, client, service, "127.0.0.1:1002")
			asked := p.queries.Load()
			eventually(t, "it asks on", func() bool { return p.queries.Load() > asked+2 })
			if got := ids(w.Instances()); got != a {
				t.Errorf("serves %q meanwhile, want %q", got, a)
			}
			if w.Age() <= 0 {
				t.Error("no age")
			}
			p.heal()
			eventually(t, "it catches up", func() bool { return ids(w.Instances()) == a+" "+b })
			if w.Age() > 5*time.Second {
				t.Errorf("age is %s after Consul answered", w.Age())
			}
			stopB()
		})
	}
}

func TestAnAnswerThatACLsEmptiedIsNotBelieved(t *testing.T) {
	client, service := consul(t), serviceName()
	a, _ := register(t, client, service, "127.0.0.1:1001")
	p := through(t)
	w := watch(t, p.client, service, discovery.Options{Grace: -1, Wait: 500 * time.Millisecond})
	eventually(t, "one instance", func() bool { return ids(w.Instances()) == a })
	// As when the policies of the token were taken away: Consul then answers 200 and [].
	weak, _, err := client.ACL().TokenCreate(&consulapi.ACLToken{Description: "a token of " + service}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.ACL().TokenDelete(weak.AccessorID, nil) })
	p.answer(func(_ http.ResponseWriter, r *http.Request) bool {
		r.Header.Set("X-Consul-Token", weak.SecretID)
		return false
	})
	asked := p.queries.Load()
	eventually(t, "it asks on", func() bool { return p.queries.Load() > asked+2 })
	if got := ids(w.Instances()); got != a {
		t.Errorf("serves %q, want %q", got, a)
	}
}

func TestAfterARestartWithoutConsulTheKeptListServes(t *testing.T) {
	client, service, dir := consul(t), serviceName(), t.TempDir()
	a, _ := register(t, client, service, "127.0.0.1:1001")
	ctx, cancel := context.WithCancel(t.Context())
	first, err := discovery.Watch(ctx, client, service, discovery.Options{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "one instance", func() bool { return ids(first.Instances()) == a })
	cancel()
	<-first.Done()

	file := filepath.Join(dir, "instances-"+service+".json")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("kept file: %v, %v", info, err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}

	p := through(t)
	p.cut()
	w := watch(t, p.client, service, discovery.Options{StateDir: dir, First: 200 * time.Millisecond})
	if got := ids(w.Instances()); got != a {
		t.Errorf("serves %q, want %q", got, a)
	}
	if w.Age() < time.Hour {
		t.Errorf("age is %s, the list is from an hour ago", w.Age())
	}
	b, _ := register(t, client, service, "127.0.0.1:1002")
	p.heal()
	eventually(t, "it catches up", func() bool { return ids(w.Instances()) == a+" "+b && w.Age() < time.Minute })
}

func TestAHangingConsulDoesNotHoldUpTheStart(t *testing.T) {
	consul(t)
	service, dir := serviceName(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "instances-"+service+".json"), []byte(`[{"id":"kept","address":"127.0.0.1:1","weight":1}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := through(t)
	p.answer(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
	w := watch(t, p.client, service, discovery.Options{StateDir: dir, First: 100 * time.Millisecond})
	if got := ids(w.Instances()); got != "kept" {
		t.Errorf("serves %q", got)
	}
}

func TestABrokenKeptFileIsNotFatal(t *testing.T) {
	client, service, dir := consul(t), serviceName(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "instances-"+service+".json"), []byte(`[{"id":`), 0o600); err != nil {
		t.Fatal(err)
	}
	a, _ := register(t, client, service, "127.0.0.1:1001")
	w := watch(t, client, service, discovery.Options{StateDir: dir})
	eventually(t, "one instance", func() bool { return ids(w.Instances()) == a })
}

func TestInstancesThatVanishAtOnceServeOnForTheGrace(t *testing.T) {
	client, service := consul(t), serviceName()
	a, _ := register(t, client, service, "127.0.0.1:1001")
	b, _ := register(t, client, service, "127.0.0.1:1002")
	var heard notes
	w := watch(t, client, service, discovery.Options{Grace: time.Hour, Log: slog.New(slog.NewTextHandler(&heard, nil))})
	eventually(t, "two instances", func() bool { return ids(w.Instances()) == a+" "+b })
	// As after a restart of the agent: every check is critical until it has run.
	for _, id := range []string{a, b} {
		if err := client.Agent().UpdateTTL("alive:"+id, "", consulapi.HealthCritical); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the watcher hears that all are gone", func() bool { return heard.contain("vanished") })
	if len(w.Instances()) == 0 {
		t.Fatal("the list was dropped at once")
	}
	for _, id := range []string{a, b} {
		if err := client.Agent().UpdateTTL("alive:"+id, "", consulapi.HealthPassing); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both again", func() bool { return ids(w.Instances()) == a+" "+b })
}

func TestScalingToZeroEndsEmptyAfterTheGrace(t *testing.T) {
	client, service, dir := consul(t), serviceName(), t.TempDir()
	a, stop := register(t, client, service, "127.0.0.1:1001")
	w := watch(t, client, service, discovery.Options{Grace: time.Second, StateDir: dir})
	eventually(t, "one instance", func() bool { return ids(w.Instances()) == a })
	began := time.Now()
	stop()
	eventually(t, "none", func() bool { return len(w.Instances()) == 0 })
	if d := time.Since(began); d < time.Second {
		t.Errorf("empty after %s, before the grace was over", d)
	}
	eventually(t, "none is kept for the next start either", func() bool {
		raw, err := os.ReadFile(filepath.Join(dir, "instances-"+service+".json"))
		return err == nil && strings.TrimSpace(string(raw)) == "[]"
	})
}

func TestAnOutageDoesNotUseUpTheGrace(t *testing.T) {
	client, service := consul(t), serviceName()
	a, stop := register(t, client, service, "127.0.0.1:1001")
	p := through(t)
	w := watch(t, p.client, service, discovery.Options{Grace: 2 * time.Second})
	eventually(t, "one instance", func() bool { return ids(w.Instances()) == a })
	stop()
	eventually(t, "Consul knows none", func() bool {
		list, _, err := client.Health().Service(service, "", true, nil)
		return err == nil && len(list) == 0
	})
	p.cut()
	time.Sleep(2500 * time.Millisecond)
	if got := ids(w.Instances()); got != a {
		t.Fatalf("serves %q while Consul is away", got)
	}
	healed := time.Now()
	p.heal()
	eventually(t, "none", func() bool { return len(w.Instances()) == 0 })
	if d := time.Since(healed); d < 2*time.Second {
		t.Errorf("empty %s after Consul came back, the grace is 2 s", d)
	}
}

func TestAnIndexThatGoesBackwardsIsFollowed(t *testing.T) {
	client, service := consul(t), serviceName()
	a, _ := register(t, client, service, "127.0.0.1:1001")
	p := through(t)
	// An index far ahead, as from a Consul that then was restored from a snapshot: asked to
	// wait for a change after it, the real one would not answer before the wait is over.
	ahead := func(h http.Header) { h.Set("X-Consul-Index", "99999999999") }
	p.alter.Store(&ahead)
	w := watch(t, p.client, service, discovery.Options{Wait: time.Second})
	eventually(t, "one instance", func() bool { return ids(w.Instances()) == a })
	p.alter.Store(nil)
	b, _ := register(t, client, service, "127.0.0.1:1002")
	eventually(t, "both", func() bool { return ids(w.Instances()) == a+" "+b })
}

func TestAConsulThatNeverBlocksIsNotFlooded(t *testing.T) {
	consul(t)
	service := serviceName()
	p := through(t)
	p.answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("X-Consul-Index", "0")
		_, _ = w.Write([]byte(`[]`))
		return true
	})
	watch(t, p.client, service, discovery.Options{})
	time.Sleep(2 * time.Second)
	if n := p.queries.Load(); n > 20 {
		t.Errorf("%d queries in 2 s", n)
	}
}

func TestTheWatcherEndsWithItsContext(t *testing.T) {
	client := consul(t)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := discovery.Watch(ctx, client, serviceName(), discovery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-w.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("it goes on")
	}
	if _, err := discovery.Watch(ctx, client, serviceName(), discovery.Options{}); err == nil {
		t.Error("a watch began in an ended context")
	}
}

func TestNamesThatNoServiceCanHaveAreRefused(t *testing.T) {
	client, err := consulapi.NewClient(&consulapi.Config{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "../etc", "a/b", "A", "a_b", "-a", "a-", strings.Repeat("a", 64), "a\x00"} {
		if _, err := discovery.Watch(t.Context(), client, name, discovery.Options{}); err == nil || !strings.Contains(err.Error(), "lower-case") {
			t.Errorf("Watch(%q): %v", name, err)
		}
		if _, err := discovery.Resolve(t.Context(), client, name, discovery.Options{}); err == nil {
			t.Errorf("Resolve(%q) is accepted", name)
		}
	}
}
