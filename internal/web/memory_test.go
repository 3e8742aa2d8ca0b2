package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"souk/internal/logs"
	"souk/internal/metrics"
)

// residentLimit is what a whole service may take (in MiB), of which this is a part.
const residentLimit = 40

// TestMain can be the server of TestMemoryStaysSmall, so that a process of its own
// is measured.
func TestMain(m *testing.M) {
	if os.Getenv("SOUK_WEB_PROBE") == "" {
		os.Exit(m.Run())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := New(Options{Service: "probe", Metrics: metrics.New("probe", "1"), Log: logs.New(io.Discard, "probe", "1", "i", "test", new(logs.Level))})
	probeRoutes(s.App())
	ctx, cancel := context.WithCancel(context.Background())
	fmt.Println(ln.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test lets go
		cancel()
	}()
	if err := s.Serve(ctx, ln); err != nil {
		panic(err)
	}
}

func TestMemoryStaysSmall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "SOUK_WEB_PROBE=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, addr: strings.TrimSpace(addr)}
	var open []net.Conn
	dial := func() net.Conn {
		c := r.dial()
		open = append(open, c)
		return c
	}
	defer func() {
		for _, c := range open { // else its drain waits for the halves of requests
			_ = c.Close()
		}
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	start := resident(t, cmd.Process.Pid)

	// The pool of a busy gateway, kept open.
	var all sync.WaitGroup
	for range 200 {
		c := dial()
		all.Go(func() {
			br := bufio.NewReader(c)
			for range 20 {
				_, _ = io.WriteString(c, "GET /v1/things/1 HTTP/1.1\r\nHost: x\r\n\r\n")
				if a := r.read(br, "GET"); a.StatusCode != 200 {
					t.Errorf("status %d", a.StatusCode)
				}
			}
		})
	}
	all.Wait()
	pool := resident(t, cmd.Process.Pid)

	// Each has carried one large body, one after the other.
	for range 50 {
		c := dial()
		body := `{"a":1` + strings.Repeat(" ", 1<<20-7) + "}"
		_, _ = fmt.Fprintf(c, "POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		if a := r.read(bufio.NewReader(c), "POST"); a.StatusCode != 200 {
			t.Fatalf("status %d %s", a.StatusCode, a.body)
		}
	}
	bodies := resident(t, cmd.Process.Pid)

	// 300 clients promise 1 MiB each and send half of it, then nothing.
	refused := 0
	for i := range 300 {
		c := dial()
		_, _ = fmt.Fprintf(c, "POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", 1<<20)
		_, _ = io.WriteString(c, strings.Repeat(" ", 1<<19))
		if i >= 64 { // by now memory is short, and the server says so
			if a := r.read(bufio.NewReader(c), "POST"); a.StatusCode == 503 {
				refused++
			}
		}
	}
	promised := resident(t, cmd.Process.Pid)
	t.Logf("resident MiB: %d at the start, %d with 200 connections, %d after large bodies, %d with 300 promised bodies (%d refused)", start, pool, bodies, promised, refused)
	if refused < 200 {
		t.Errorf("%d of 236 were told that memory is short", refused)
	}
	if raceEnabled {
		return // the race detector takes several times as much
	}
	if bodies > residentLimit {
		t.Errorf("%d MiB resident, want %d at most", bodies, residentLimit)
	}
	if promised > 4*residentLimit {
		t.Errorf("%d MiB resident with promised bodies", promised)
	}
}

func resident(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
