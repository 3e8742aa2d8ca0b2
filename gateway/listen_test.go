package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"souk/internal/web"
)

// A test that needs a second process runs this program with an address to listen on.
const childListens = "SOUK_TEST_CHILD_LISTENS"

func TestMain(m *testing.M) {
	if addr := os.Getenv(childListens); addr != "" {
		if err := child(addr); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child serves as the gateway does, until SIGTERM.
func child(addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	defaults := Defaults()
	opts := defaults.web()
	opts.Service, opts.DrainDelay, opts.Log = serviceName, 500*time.Millisecond, slog.New(slog.DiscardHandler)
	server := web.New(opts)
	server.App().All("/", func(c *fiber.Ctx) error { return c.SendString(strconv.Itoa(os.Getpid())) })
	l, err := listen(ctx, addr)
	if err != nil {
		return err
	}
	fmt.Println("listening", l.Addr())
	return server.Serve(ctx, l)
}

type process struct {
	*exec.Cmd
	addr string
}

func startChild(t testing.TB, addr string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.Env = append(os.Environ(), childListens+"="+addr)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "listening "); ok {
			p.addr = rest
			break
		}
	}
	if p.addr == "" {
		t.Fatal("the child does not listen")
	}
	go func() { // its access log
		for lines.Scan() {
		}
	}()
	return p
}

// end stops the child as Nomad does and waits for it.
func (p *process) end(t testing.TB) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
}

// One process after the other listens on the same port, as in a deploy, under a load of
// new and of kept connections whose clients repeat nothing.
func TestNoConnectionIsLostWhenAProcessReplacesAnother(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	old := startChild(t, "127.0.0.1:0")
	addr := old.addr
	ctx, stop := context.WithCancel(t.Context())
	var fresh, kept, failed atomic.Int64
	failures := struct {
		sync.Mutex
		by map[string]int
	}{by: map[string]int{}}
	fail := func(kind string, err error) {
		failed.Add(1)
		failures.Lock()
		failures.by[kind+": "+err.Error()]++
		failures.Unlock()
	}
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for ctx.Err() == nil {
				if err := oneConnection(addr); err != nil {
					fail("new", err)
				}
				fresh.Add(1)
			}
		})
		workers.Go(func() {
			client := &fasthttp.HostClient{Addr: addr, MaxIdemponentCallAttempts: 1, MaxConns: 1, ReadTimeout: 10 * time.Second}
			var req fasthttp.Request
			var resp fasthttp.Response
			req.SetRequestURI("http://" + addr + "/")
			req.Header.SetMethod(fasthttp.MethodPost)
			for ctx.Err() == nil {
				if err := client.Do(&req, &resp); err != nil {
					fail("kept", err)
				} else if resp.StatusCode() != http.StatusOK {
					fail("kept", fmt.Errorf("status %d", resp.StatusCode()))
				}
				kept.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	const replacements = 10
	for range replacements {
		time.Sleep(200 * time.Millisecond)
		next := startChild(t, addr)
		time.Sleep(200 * time.Millisecond)
		old.end(t)
		old = next
	}
	time.Sleep(200 * time.Millisecond)
	stop()
	workers.Wait()
	old.end(t)
	t.Logf("%d replacements: %d new connections, %d requests on kept ones, %d failed", replacements, fresh.Load(), kept.Load(), failed.Load())
	for what, n := range failures.by {
		t.Errorf("%d x %s", n, what)
	}
}

// oneConnection opens one, sends one request and reads the answer.
func oneConnection(addr string) error {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// counted is a listener that accepts and counts.
type counted struct {
	net.Listener
	n atomic.Int64
}

func listenCounting(t *testing.T, ctx context.Context, addr string) *counted {
	t.Helper()
	l, err := listen(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := &counted{Listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.n.Add(1)
			_ = conn.Close()
		}
	}()
	return c
}

// connect opens connections one after the other, each until it was accepted, and says how many
// came to each listener.
func connect(t *testing.T, times int, listeners ...*counted) []int64 {
	t.Helper()
	came := make([]int64, len(listeners))
	for i, l := range listeners {
		came[i] = -l.n.Load()
	}
	for range times {
		c, err := net.Dial("tcp", listeners[0].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	for i, l := range listeners {
		came[i] += l.n.Load()
	}
	return came
}

func TestNewConnectionsGoElsewhereAsSoonAsAProcessStops(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	first := listenCounting(t, ctx, "127.0.0.1:0")
	second := listenCounting(t, t.Context(), first.Addr().String())
	third := listenCounting(t, t.Context(), first.Addr().String())
	if came := connect(t, 300, first, second, third); came[0] == 0 || came[1] == 0 || came[2] == 0 {
		t.Errorf("before: %v; all should get some", came)
	}
	stop()
	eventually(t, "none comes to the first", func() bool { return connect(t, 30, first, second, third)[0] == 0 })
	if came := connect(t, 300, first, second, third); came[0] != 0 {
		t.Errorf("while it stops: %v", came)
	}
	_ = first.Close()
	if came := connect(t, 100, second, third); came[0]+came[1] != 100 {
		t.Errorf("after: %v", came)
	}
	eventually(t, "the others share again", func() bool {
		came := connect(t, 30, second, third)
		return came[0] > 0 && came[1] > 0
	})
}

func TestClosingHandsOutWhatTheKernelHasAccepted(t *testing.T) {
	l, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		c, err := l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("it ends with %v", err)
			}
			break
		}
		n++
		_ = c.Close()
	}
	if n != 50 {
		t.Errorf("%d of 50 were handed out", n)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

func TestALoneListenerClosesUnderLoad(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	l, err := listen(ctx, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	loading, end := context.WithCancel(t.Context())
	defer end()
	go func() {
		for loading.Err() == nil {
			if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
				_ = c.Close()
			}
		}
	}()
	stop()
	_ = l.Close()
	began := time.Now()
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		_ = c.Close()
	}
	if d := time.Since(began); d > closeLimit+10*time.Second {
		t.Errorf("it took %s", d)
	}
}

func TestAnAddressThatCannotBeHadIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // without SO_REUSEPORT: nobody may share it
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, addr := range []string{l.Addr().String(), "nonsense", "127.0.0.1:99999"} {
		if got, err := listen(t.Context(), "127.0.0.1:0", addr); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: %v, %v", addr, got, err)
		}
	}
}
