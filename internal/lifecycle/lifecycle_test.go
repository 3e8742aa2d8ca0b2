package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestCleanUpsRunLastInFirstOutAndEachIsTried(t *testing.T) {
	p := &Process{Log: quiet()}
	var order []string
	note := func(name string, err error) {
		p.Defer(name, func(context.Context) error {
			order = append(order, name)
			return err
		})
	}
	note("store", nil)
	note("relay", errors.New("stuck"))
	p.Defer("producer", func(context.Context) error { panic("boom") })
	note("server", nil)
	err := p.Close()
	if fmt.Sprint(order) != "[server relay store]" {
		t.Errorf("order %v", order)
	}
	if err == nil || !strings.Contains(err.Error(), "relay: stuck") || !strings.Contains(err.Error(), "producer: panic: boom") {
		t.Errorf("got %v", err)
	}
	if err := p.Close(); err != nil || len(order) != 3 {
		t.Errorf("a second Close does it again: %v %v", order, err)
	}
}

func TestWorkBesideTheServingEndsBeforeWhatItUsesIsClosed(t *testing.T) {
	p := &Process{Log: quiet()}
	var order []string
	p.Defer("store", func(context.Context) error {
		order = append(order, "store closed")
		return nil
	})
	ctx, terminate := context.WithCancel(t.Context())
	p.Go(ctx, "relay", func(ctx context.Context) {
		<-ctx.Done()
		order = append(order, "relay ended")
	})
	terminate() // requests in flight may still need it
	time.Sleep(20 * time.Millisecond)
	if len(order) != 0 {
		t.Fatalf("at the signal: %v", order)
	}
	if err := p.Close(); err != nil || fmt.Sprint(order) != "[relay ended store closed]" {
		t.Errorf("%v, %v", order, err)
	}
}

func TestItIsReadyOnlyWhileItServesAndEveryCheckHolds(t *testing.T) {
	p := &Process{Log: quiet()}
	var expired error
	p.Check("certificate", func() error { return expired })
	if p.Ready() == nil {
		t.Error("ready before it serves")
	}
	ctx, stop := context.WithCancel(t.Context())
	err := p.Serve(ctx, func(ctx context.Context) error {
		if err := p.Ready(); err != nil {
			t.Errorf("serving: %v", err)
		}
		expired = errors.New("expired")
		if err := p.Ready(); err == nil || err.Error() != "certificate: expired" {
			t.Errorf("with a check that fails: %v", err)
		}
		expired = nil
		stop()
		for deadline := time.Now().Add(5 * time.Second); p.Ready() == nil; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("still ready while it drains")
			}
		}
		return nil
	})
	if err != nil || p.Ready() == nil {
		t.Errorf("after the end: %v, %v", err, p.Ready())
	}
}

func TestTheAdminPortTellsHealthMetricsAndConfiguration(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	p := &Process{Settings: Settings{Admin: addr}, Log: quiet()}
	err = p.ServeAdmin(t.Context(), Admin{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "souk_up 1") }),
		Config:  func() (uint64, any) { return 42, map[string]int{"limit": 3} },
	})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (int, string) {
		res, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	for path, want := range map[string]string{"/healthz": "200 alive", "/readyz": "503 not serving", "/metrics": "200 souk_up 1",
		"/config": `200 {"config":{"limit":3},"modify_index":42}`, "/debug/pprof/": "404"} {
		if status, body := get(path); !strings.HasPrefix(fmt.Sprint(status, " ", body), want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if err := healthcheck(t.Context(), addr); err == nil {
		t.Error("the health check passes while it is not ready")
	}
	if err := p.Serve(t.Context(), func(ctx context.Context) error { return healthcheck(ctx, addr) }); err != nil {
		t.Errorf("the health check of a ready program: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestSettingsNameWhatIsMissing(t *testing.T) {
	for _, name := range []string{"SOUK_ENV", "NOMAD_ALLOC_ID", "NOMAD_ALLOC_DIR", "NOMAD_ADDR_https", "NOMAD_ADDR_http", "NOMAD_ADDR_admin"} {
		t.Setenv(name, "")
	}
	if _, err := FromEnv("catalog"); err == nil || !strings.Contains(err.Error(), "SOUK_ENV is not set") || !strings.Contains(err.Error(), "nomad/apps/catalog.nomad.hcl") {
		t.Errorf("got %v", err)
	}
}

func TestAServiceWithoutAPortDoesNotListenAnywhere(t *testing.T) {
	p := &Process{Settings: Settings{Service: "catalog"}}
	if l, err := p.Listener(t.Context()); err == nil || !strings.Contains(err.Error(), "NOMAD_ADDR_https") {
		t.Errorf("got %v, %v", l, err)
	}
}

func TestTheProgramChecksAConfiguration(t *testing.T) {
	p := Program{Name: "x", CheckConfig: func(document []byte) ([]byte, error) {
		if string(document) == "bad" {
			return nil, errors.New("a is 0\nb is 0")
		}
		return append([]byte("effective "), document...), nil
	}}
	var out bytes.Buffer
	if err := p.checkConfig(strings.NewReader("good"), &out); err != nil || out.String() != "effective good" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := p.checkConfig(strings.NewReader("bad"), &out); err == nil || OneLine(err) != "a is 0; b is 0" {
		t.Errorf("got %v", err)
	}
	if code := p.Main([]string{"help me"}); code != 2 {
		t.Errorf("called wrongly: exit code %d", code)
	}
}
