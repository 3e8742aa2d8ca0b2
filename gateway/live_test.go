package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"souk/internal/testenv"
)

// load sends requests on kept and on new connections until stop, and counts failures.
type load struct {
	sent, failed atomic.Int64
	mu           sync.Mutex
	failures     map[string]int
	stop         context.CancelFunc
	done         sync.WaitGroup
}

func startLoad(t testing.TB, kept, fresh int, request func(worker, n int) (method, url string), check func(answer) error) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{failures: map[string]int{}, stop: stop}
	for worker := range kept + fresh {
		client := plainClient
		if worker < kept {
			client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 20 * time.Second}
		}
		l.done.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				method, url := request(worker, n)
				// A request that was begun is finished: stopping must not count as a failure.
				a, err := try(context.WithoutCancel(ctx), client, method, url, "")
				if err == nil {
					err = check(a)
				}
				l.sent.Add(1)
				if err != nil {
					l.failed.Add(1)
					l.mu.Lock()
					l.failures[err.Error()]++
					l.mu.Unlock()
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	return l
}

// end stops the load and reports failures.
func (l *load) end(t testing.TB) {
	t.Helper()
	l.stop()
	l.done.Wait()
	t.Logf("%d requests, %d failed", l.sent.Load(), l.failed.Load())
	for what, n := range l.failures {
		t.Errorf("%d x %s", n, what)
	}
	if l.sent.Load() == 0 {
		t.Error("no request was sent")
	}
}

func TestNoRequestFailsWhileRoutesAndInstancesChange(t *testing.T) {
	consul, service, second := realConsul(t), uniqueName(), uniqueName()
	startInstance(t, consul, service, echo("stays"))
	startInstance(t, consul, second, echo("second"))
	cfg := testConfig(service)
	cfg.Upstream.VanishGrace = 30 * time.Second
	g := startGateway(t, consul, cfg)
	g.knows(t, service, 1)

	l := startLoad(t, 8, 4, func(worker, n int) (string, string) {
		if n%3 == 0 {
			return "POST", g.url + "/v1/things"
		}
		return "GET", fmt.Sprintf("%s/v1/things/%d-%d", g.url, worker, n)
	}, func(a answer) error {
		if a.StatusCode != 200 {
			return fmt.Errorf("%s: %.200s", a.Status, a.text)
		}
		return nil
	})
	end := time.Now().Add(6 * time.Second)
	var changes sync.WaitGroup
	changes.Go(func() { // tables: routes come and go, the service of the one under load changes
		for i := 0; time.Now().Before(end); i++ {
			next := cfg
			next.Routes = append([]Route{}, cfg.Routes...)
			for extra := range rand.IntN(20) {
				next.Routes = append(next.Routes, Route{Path: fmt.Sprintf("/v1/extra%d/{id}", extra), Methods: []string{"GET"}, Service: second, Public: true})
			}
			if i%2 == 0 {
				next.Routes[0].Service, next.Routes[1].Service = second, second
			}
			if err := g.apply(g.ctx, &next); err != nil {
				t.Error(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	for range 2 { // instances: an orderly one leaves Consul, and ends a little later
		changes.Go(func() {
			for time.Now().Before(end) {
				one := startInstance(t, consul, service, echo("passing through"))
				time.Sleep(100 * time.Millisecond)
				one.deregister()
				time.Sleep(300 * time.Millisecond)
				one.kill()
			}
		})
	}
	changes.Wait()
	l.end(t)
	t.Logf("%.0f tables", metric(t, g.registry, "souk_gateway_table_changes_total", "outcome", "applied"))
}

func TestAnInstanceThatDiesFailsNoReadUnderLoad(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("stays"))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	l := startLoad(t, 8, 2, func(int, int) (string, string) { return "GET", g.url + "/v1/things" }, func(a answer) error {
		if a.StatusCode != 200 {
			return fmt.Errorf("%s: %.200s", a.Status, a.text)
		}
		return nil
	})
	for range 10 {
		one := startInstance(t, consul, service, echo("dies"))
		g.knows(t, service, 2)
		time.Sleep(50 * time.Millisecond)
		one.kill() // with requests under way, and Consul still tells of it
		time.Sleep(50 * time.Millisecond)
		one.deregister()
		g.knows(t, service, 1)
	}
	l.end(t)
	t.Logf("%.0f were repeated after a broken connection", metric(t, g.registry, "souk_gateway_retries_total", "service", service, "reason", "broken"))
}

func TestARemovedRouteIsGoneAndANewOneWorksAtOnce(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, testConfig(service, Route{Path: "/v1/old", Methods: []string{"GET"}}))
	g.knows(t, service, 1)
	second := uniqueName()
	startInstance(t, consul, second, echo("two"))
	next := testConfig(second, Route{Path: "/v1/new", Methods: []string{"GET"}})
	if err := g.apply(g.ctx, &next); err != nil {
		t.Fatal(err)
	}
	if a := call(t, "GET", g.url+"/v1/old", ""); a.StatusCode != 404 {
		t.Errorf("the old one: %s", a.Status)
	}
	if a := call(t, "GET", g.url+"/v1/new", ""); a.StatusCode != 200 || a.echoed(t).Instance != "two" {
		t.Errorf("the new one: %s %s", a.Status, a.text)
	}
	if n := metric(t, g.registry, "souk_gateway_instances", "service", service); n != 0 {
		t.Errorf("the service of the old one is still followed: %v instances", n)
	}
}

func TestTheGatewayServesWhileConsulIsAway(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	var away atomic.Bool
	path := consulThrough(t, &away)
	g := startGateway(t, path, testConfig(service))
	g.knows(t, service, 1)
	away.Store(true)
	for range 20 {
		if a := call(t, "GET", g.url+"/v1/things", ""); a.StatusCode != 200 {
			t.Fatalf("%s %s", a.Status, a.text)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := g.ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	// A new service can't be found now: its route answers 503, the others go on.
	next := testConfig(service)
	next.Routes = append(next.Routes, Route{Path: "/v1/new", Methods: []string{"GET"}, Service: uniqueName(), Public: true})
	if err := g.apply(g.ctx, &next); err != nil {
		t.Fatal(err)
	}
	if p := call(t, "GET", g.url+"/v1/new", "").problem(t); p.Code != "no-instance" {
		t.Errorf("%+v", p)
	}
	if a := call(t, "GET", g.url+"/v1/things", ""); a.StatusCode != 200 {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if err := g.ready(); err == nil {
		t.Error("ready, without ever having heard of a service's instances")
	}
	if age := metric(t, g.registry, "souk_gateway_catalogue_age_seconds", "service", service); age <= 0 {
		t.Errorf("age %v", age)
	}
}

// consulThrough is a client whose way to Consul can be cut.
func consulThrough(t testing.TB, away *atomic.Bool) *consulapi.Client {
	t.Helper()
	env := testenv.Start(t)
	target, err := url.Parse(env.ConsulAddr())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	token, err := env.Secret("consul-management.token")
	if err != nil {
		t.Fatal(err)
	}
	client, err := consulapi.NewClient(&consulapi.Config{Address: server.URL, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
