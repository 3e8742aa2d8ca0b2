package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
)

const workRequest = "POST /v1/work HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"

// worker sends one request after the other over connections that it keeps while
// the server lets it, until no new connection can be made. It returns the error of
// a request that got no whole answer.
func (r *running) worker(answered *atomic.Int64) error {
	for {
		dialled := time.Now()
		c := r.connect()
		if c == nil {
			return nil // the listener is closed
		}
		br := bufio.NewReader(c)
		for n, last := 0, time.Now(); ; n++ {
			sent := time.Now()
			since := sent.Sub(last)
			closing, err := exchange(c, br)
			last = sent
			if err != nil {
				_ = c.Close()
				if since > r.opts.DrainDelay || n == 0 && time.Since(dialled) > newGrace {
					return nil // this machine is so busy that the client left its connection idle
				}
				err = fmt.Errorf("%s after the one before it: %w", since, err)
				if n == 0 && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE)) {
					return nil // never accepted: it was in the kernel's queue when the listener closed
				}
				return fmt.Errorf("request %d of a connection: %w", n+1, err)
			}
			answered.Add(1)
			if closing {
				break
			}
		}
		_ = c.Close()
	}
}

func (r *running) connect() net.Conn {
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		return nil
	}
	if r.tls != nil {
		return tls.Client(c, r.tls)
	}
	return c
}

func exchange(c net.Conn, br *bufio.Reader) (closing bool, err error) {
	if _, err := io.WriteString(c, workRequest); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodPost})
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != 200 || string(body) != "done") {
		err = fmt.Errorf("%d %q", resp.StatusCode, body)
	}
	return resp.Close, err
}

func work(app *fiber.App) {
	var n atomic.Int64
	app.Post("/v1/work", func(c *fiber.Ctx) error {
		time.Sleep(time.Duration(n.Add(1)%7) * time.Millisecond)
		return c.SendString("done")
	})
}

func TestADrainUnderLoadLosesNoRequest(t *testing.T) {
	ca := newAuthority(t)
	for round := range 8 {
		secure, lean := round%2 == 1, round%4 > 1
		t.Run(fmt.Sprintf("round %d, TLS %v, memory reduced %v", round, secure, lean), func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var client *tls.Config
			if secure {
				ln, client = tls.NewListener(ln, ca.server()), ca.client("gateway")
			}
			r := startOn(t, ln, client, Options{DrainDelay: time.Second, ReduceMemory: lean}, work)
			var (
				answered atomic.Int64
				all      sync.WaitGroup
			)
			for range 24 {
				all.Go(func() {
					if err := r.worker(&answered); err != nil {
						t.Error(err)
					}
				})
			}
			eventually(t, "load", func() bool { return answered.Load() > 300 })
			r.stop()
			all.Wait()
			if err := r.ended(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARequestOnAnIdleConnectionIsAnsweredAndToldToCloseDuringTheDrain(t *testing.T) {
	r := start(t, Options{DrainDelay: 2 * time.Second}, work)
	c := r.dial()
	br := bufio.NewReader(c)
	if closing, err := exchange(c, br); err != nil || closing {
		t.Fatal(closing, err)
	}
	r.stop()
	eventually(t, "the drain", r.draining.Load)
	if closing, err := exchange(c, br); err != nil || !closing {
		t.Errorf("closing %v, %v; want Connection: close", closing, err)
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after it: %v, want EOF", err)
	}
	fresh := r.dial()
	if closing, err := exchange(fresh, bufio.NewReader(fresh)); err != nil || !closing {
		t.Errorf("a new connection: closing %v, %v", closing, err)
	}
}

func TestIdleConnectionsEndWithTheDrainAndBusyOnesAreAwaited(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	r := start(t, Options{}, func(app *fiber.App) {
		work(app)
		app.Get("/slow", func(c *fiber.Ctx) error {
			close(inside)
			<-release
			return c.SendString("slow")
		})
	})
	idle := r.dial()
	br := bufio.NewReader(idle)
	if _, err := exchange(idle, br); err != nil {
		t.Fatal(err)
	}
	busy := r.dial()
	_, _ = io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-inside
	r.stop()
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v, want EOF", err)
	}
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("a new connection was accepted")
	}
	select {
	case err := <-r.done:
		t.Fatalf("Serve ended (%v) while a request was in flight", err)
	default:
	}
	close(release)
	a := r.read(bufio.NewReader(busy), "GET")
	if string(a.body) != "slow" || !a.Close {
		t.Errorf("%d %q, close %v", a.StatusCode, a.body, a.Close)
	}
	if err := r.ended(); err != nil {
		t.Error(err)
	}
}

func TestAHalfSentRequestIsStillReadDuringTheDrain(t *testing.T) {
	r := start(t, Options{}, work)
	c := r.dial()
	br := bufio.NewReader(c)
	if _, err := exchange(c, br); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, workRequest[:30])
	eventually(t, "the first half", func() bool {
		idle := 0
		r.conns.each(func(c *conn) {
			c.mu.Lock()
			if c.idle {
				idle++
			}
			c.mu.Unlock()
		})
		return idle == 0
	})
	r.stop()
	eventually(t, "a closed listener", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	time.Sleep(5 * drainEvery)
	_, _ = io.WriteString(c, workRequest[30:])
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || !resp.Close {
		t.Errorf("status %d, close %v", resp.StatusCode, resp.Close)
	}
}

func TestTheDrainIsBounded(t *testing.T) {
	var heeded atomic.Bool
	inside, release := make(chan struct{}, 2), make(chan struct{})
	defer close(release)
	r := start(t, Options{DrainTimeout: 100 * time.Millisecond, RequestTimeout: time.Hour}, func(app *fiber.App) {
		app.Get("/heeds", func(c *fiber.Ctx) error {
			ctx := Context(c)
			inside <- struct{}{}
			<-ctx.Done()
			heeded.Store(errors.Is(context.Cause(ctx), errStopped))
			return ctx.Err()
		})
		app.Get("/ignores", func(*fiber.Ctx) error {
			inside <- struct{}{}
			<-release
			return nil
		})
	})
	heeds, ignores := r.dial(), r.dial()
	_, _ = io.WriteString(heeds, "GET /heeds HTTP/1.1\r\nHost: x\r\n\r\n")
	_, _ = io.WriteString(ignores, "GET /ignores HTTP/1.1\r\nHost: x\r\n\r\n")
	<-inside
	<-inside
	r.stop()
	wantProblem(t, r.read(bufio.NewReader(heeds), "GET"), 503, "stopping")
	if !heeded.Load() {
		t.Error("the cause was not errStopped")
	}
	if err := r.ended(); err != nil {
		t.Error(err)
	}
	if _, err := ignores.Read(make([]byte, 1)); err == nil {
		t.Error("the stuck connection got an answer")
	}
	if len(r.log.with("still in flight")) != 1 {
		t.Error("the log does not say that requests were cut off")
	}
}
