package web

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestServeReportsABrokenListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Service: "probe", DrainDelay: time.Hour, Log: slog.New(slog.DiscardHandler)})
	err = s.Serve(t.Context(), brokenListener{ln})
	if err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("Serve: %v", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("out of luck") }

// exhaustedListener has no descriptors left for a while.
type exhaustedListener struct {
	net.Listener
	failures atomic.Int64
}

func (l *exhaustedListener) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestAServerOutOfDescriptorsWaitsForSome(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	exhausted := &exhaustedListener{Listener: ln}
	exhausted.failures.Store(5)
	r := startOn(t, exhausted, nil, Options{}, probeRoutes)
	if a := r.do("GET", "/v1/things/1", nil); a.StatusCode != 200 {
		t.Errorf("status %d", a.StatusCode)
	}
}

func TestAServedServerLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		t.Run("", func(t *testing.T) {
			r := start(t, Options{}, work)
			client := r.client()
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					resp, err := client.Post(r.url("/v1/work"), "text/plain", strings.NewReader("hi"))
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				})
			}
			all.Wait()
			silent := r.dial() // a client that connects and says nothing
			_ = silent
		})
	}
	eventually(t, fmt.Sprintf("%d goroutines as before", before), func() bool { return runtime.NumGoroutine() <= before })
}
