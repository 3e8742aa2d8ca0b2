package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// metric is the value of a counter or gauge, summed over the labels that are not asked for.
func metric(t testing.TB, g prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			for i := 0; i < len(labels); i += 2 {
				if have[labels[i]] != labels[i+1] {
					continue next
				}
			}
			sum += value(m)
		}
	}
	return sum
}

func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	}
	return 0
}

func TestInstancesTakeTurns(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	for _, name := range []string{"a", "b", "c"} {
		startInstance(t, consul, service, echo(name))
	}
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 3)
	got := map[string]int{}
	for range 30 {
		got[call(t, "GET", g.url+"/v1/things", "").echoed(t).Instance]++
	}
	if got["a"] != 10 || got["b"] != 10 || got["c"] != 10 {
		t.Errorf("30 requests went to %v", got)
	}
	if n := metric(t, g.registry, "souk_gateway_requests_total", "route", "/v1/things", "service", service, "status", "200"); n != 30 {
		t.Errorf("%v requests counted", n)
	}
	if n := metric(t, g.registry, "souk_gateway_instances", "service", service); n != 3 {
		t.Errorf("%v instances in the metrics", n)
	}
	if n := metric(t, g.registry, "souk_gateway_upstream_duration_seconds", "service", service); n != 30 {
		t.Errorf("%v calls counted", n)
	}
}

func TestWithoutInstancesTheAnswerIs503(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	g := startGateway(t, consul, testConfig(service))
	a := call(t, "GET", g.url+"/v1/things", "")
	if p := a.problem(t); p.Status != 503 || p.Code != "no-instance" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%+v, Retry-After %q", p, a.Header.Get("Retry-After"))
	}
	one := startInstance(t, consul, service, echo("one"))
	g.knows(t, service, 1)
	if a := call(t, "GET", g.url+"/v1/things", ""); a.StatusCode != 200 {
		t.Errorf("with an instance: %s", a.Status)
	}
	one.deregister()
	one.kill()
	if a := call(t, "GET", g.url+"/v1/things", ""); a.StatusCode != 503 {
		t.Errorf("scaled to zero, within the grace: %s", a.Status)
	}
	g.knows(t, service, 0)
	if p := call(t, "GET", g.url+"/v1/things", "").problem(t); p.Code != "no-instance" {
		t.Errorf("scaled to zero, after the grace: %+v", p)
	}
}

func TestAnInstanceThatCannotBeReachedIsPassedOver(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("good"))
	closed := closedAddress(t)
	registerInstance(t, consul, service, closed)
	other := uniqueName() // answers there, but has another service's certificate
	wrong := startInstance(t, consul, other, echo("wrong"))
	registerInstance(t, consul, service, wrong.address)
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 3)
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
		for range 6 {
			a := call(t, method, g.url+"/v1/things/1", "", "If-Match", `"1"`)
			if a.StatusCode != 200 || a.echoed(t).Instance != "good" {
				t.Errorf("%s: %s %s", method, a.Status, a.text)
			}
		}
	}
	if n := metric(t, g.registry, "souk_gateway_retries_total", "service", service, "reason", "unreachable"); n == 0 {
		t.Error("no retry was counted")
	}
}

func TestIfNoInstanceCanBeReachedTheAnswerIs503(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	registerInstance(t, consul, service, closedAddress(t))
	registerInstance(t, consul, service, closedAddress(t))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 2)
	a := call(t, "POST", g.url+"/v1/things", "{}")
	if p := a.problem(t); p.Status != 503 || p.Code != "unreachable" || a.Header.Get("Retry-After") == "" || strings.Contains(a.text, "127.0.0.1") {
		t.Errorf("%+v %s", p, a.text)
	}
	if !strings.Contains(g.log.String(), "connection refused") {
		t.Error("the log does not say why")
	}
}

// closedAddress is one where nobody listens.
func closedAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// breaking reads each request and breaks off instead of answering, or half way through.
func breaking(count *atomic.Int64, half string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, br *bufio.Reader) {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		count.Add(1)
		_, _ = io.WriteString(c, half)
	}
}

func TestABrokenCallIsRepeatedOnlyIfItMayBe(t *testing.T) {
	consul := realConsul(t)
	for _, half := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "HTTP/1.1 200 OK\r\nContent-Len", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "nonsense\r\n\r\n"} {
		service := uniqueName()
		var broken, good atomic.Int64
		startRaw(t, consul, service, breaking(&broken, half))
		startInstance(t, consul, service, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { good.Add(1) }))
		g := startGateway(t, consul, testConfig(service))
		g.knows(t, service, 2)
		for _, c := range []struct {
			method, header string
			repeated       bool
		}{
			{"GET", "Accept", true}, {"HEAD", "Accept", true}, {"PUT", "Accept", true}, {"DELETE", "Accept", true},
			{"PATCH", "Accept", false}, {"PUT", "If-Match", false}, {"DELETE", "If-Match", false}, {"PUT", "If-None-Match", false},
		} {
			broken.Store(0)
			statuses := map[int]int{}
			for range 4 { // in turns: two of them meet the broken one first
				a := call(t, c.method, g.url+"/v1/things/1", "", c.header, "*")
				statuses[a.StatusCode]++
				if a.StatusCode == 502 && c.method != "HEAD" {
					if p := a.problem(t); !strings.Contains(p.Detail, "may or may not") {
						t.Errorf("%s: %+v", c.method, p)
					}
				}
			}
			if c.repeated && statuses[200] != 4 || !c.repeated && (statuses[502] != 2 || broken.Load() != 2) {
				t.Errorf("%q: %s with %s: %v, %d broken", half, c.method, c.header, statuses, broken.Load())
			}
		}
	}
}

func TestABrokenCallIsRepeatedOnce(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	var broken atomic.Int64
	for range 4 {
		startRaw(t, consul, service, breaking(&broken, ""))
	}
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 4)
	if p := call(t, "GET", g.url+"/v1/things", "").problem(t); p.Status != 502 || p.Code != "broken-connection" {
		t.Errorf("%+v", p)
	}
	if n := broken.Load(); n != 2 {
		t.Errorf("%d instances were called, want 2", n)
	}
}

func TestASlowServiceIsATimeout(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	var calls atomic.Int64
	for range 2 {
		startInstance(t, consul, service, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}))
	}
	g := startGateway(t, consul, testConfig(service, Route{Path: "/v1/things", Methods: []string{"GET", "POST"}, Timeout: 300 * time.Millisecond}))
	g.knows(t, service, 2)
	for _, method := range []string{"GET", "POST"} {
		calls.Store(0)
		began := time.Now()
		a := call(t, method, g.url+"/v1/things", "")
		if p := a.problem(t); p.Status != 504 || !strings.Contains(p.Detail, "300ms") {
			t.Errorf("%+v", p)
		}
		if d := time.Since(began); d > 5*time.Second || calls.Load() != 1 {
			t.Errorf("%s, %d calls", d, calls.Load())
		}
	}
}

func TestAHangingInstanceDoesNotHoldUpTheConnectionAttempt(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	// Accepts in the kernel, but never shakes hands.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	registerInstance(t, consul, service, l.Addr().String())
	startInstance(t, consul, service, echo("good"))
	cfg := testConfig(service)
	cfg.Upstream.ConnectTimeout = 100 * time.Millisecond
	g := startGateway(t, consul, cfg)
	g.knows(t, service, 2)
	for range 4 {
		if a := call(t, "POST", g.url+"/v1/things", "{}"); a.StatusCode != 200 {
			t.Errorf("%s %s", a.Status, a.text)
		}
	}
}

func TestAnAnswerThatIsTooLargeIsABadGateway(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	var calls atomic.Int64
	for range 2 {
		startInstance(t, consul, service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			switch r.URL.RawQuery {
			case "head":
				w.Header().Set("X-Big", strings.Repeat("a", 100<<10))
			case "announced":
				w.Header().Set("Content-Length", strconv.Itoa(1<<20))
			}
			_, _ = io.WriteString(w, strings.Repeat("a", 1<<20))
		}))
	}
	cfg := testConfig(service)
	cfg.Upstream.ResponseLimit = 100 << 10
	g := startGateway(t, consul, cfg)
	g.knows(t, service, 2)
	for _, query := range []string{"", "announced", "head"} {
		calls.Store(0)
		if p := call(t, "GET", g.url+"/v1/things?"+query, "").problem(t); p.Status != 502 || p.Code != "bad-answer" || calls.Load() != 1 {
			t.Errorf("%s: %+v, %d calls", query, p, calls.Load())
		}
	}
}

func TestNobodySwitchesProtocols(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	var n atomic.Int64
	startRaw(t, consul, service, breaking(&n, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	if p := call(t, "GET", g.url+"/v1/things", "", "Upgrade", "x", "Connection", "upgrade").problem(t); p.Status != 502 {
		t.Errorf("%+v", p)
	}
}

// An instance that answers a second time unasked must not have that taken for the answer
// to somebody else's request.
func TestAnAnswerTooManyIsNobodys(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startRaw(t, consul, service, func(c net.Conn, br *bufio.Reader) {
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(req.RequestURI), req.RequestURI)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		}
	})
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	for i := range 20 {
		path := fmt.Sprintf("/v1/things/%d", i)
		if a := call(t, "GET", g.url+path, ""); a.text != path {
			t.Errorf("asked for %s, got %q", path, a.text)
		}
		time.Sleep(20 * time.Millisecond) // the second one arrives
	}
}

func TestARestartedInstanceFailsNobody(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	address, kill := serveTLS(t, service, "127.0.0.1:0", echo("-1"))
	registerInstance(t, consul, service, address)
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	for restart := range 10 {
		// Many connections, which then are idle.
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if a, err := try(t.Context(), plainClient, "POST", g.url+"/v1/things", "{}"); err != nil || a.StatusCode != 200 {
					t.Errorf("before: %v %v", a.Response, err)
				}
			})
		}
		wg.Wait()
		kill()
		_, kill = serveTLS(t, service, address, echo(strconv.Itoa(restart)))
		for range 25 {
			// POST: nothing but an intact connection will do.
			if a := call(t, "POST", g.url+"/v1/things", "{}"); a.StatusCode != 200 || a.echoed(t).Instance != strconv.Itoa(restart) {
				t.Errorf("after restart %d: %s %s", restart, a.Status, a.text)
			}
		}
	}
}

func TestRequestsUnderWayOutliveTheCatalogueEntry(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	entered, leave := make(chan struct{}), make(chan struct{})
	one := startInstance(t, consul, service, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(w, "done")
	}))
	startInstance(t, consul, service, echo("two"))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 2)
	var slow answer
	var wg sync.WaitGroup
	wg.Go(func() {
		for slow.text != "done" { // until it is the slow one's turn
			slow, _ = try(t.Context(), plainClient, "POST", g.url+"/v1/things", "{}")
		}
	})
	<-entered
	one.deregister()
	g.knows(t, service, 1)
	for range 5 {
		if a := call(t, "GET", g.url+"/v1/things", ""); a.echoed(t).Instance != "two" {
			t.Errorf("%s %s", a.Status, a.text)
		}
	}
	close(leave)
	wg.Wait()
	if slow.StatusCode != 200 {
		t.Errorf("%s", slow.Status)
	}
}
