package web

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
)

// huge is a body of 10 MB, ten times the limit.
const huge = 10 << 20

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// pushAll sends everything before it looks at the answer, as simple clients do.
func pushAll(t *testing.T, r *running, head string, body io.Reader) answer {
	t.Helper()
	c := r.dial()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, head)
		if err == nil {
			_, err = io.Copy(c, body)
		}
		sent <- err
	}()
	if err := <-sent; err != nil {
		t.Fatalf("send: %v", err)
	}
	br := bufio.NewReader(c)
	a := r.read(br, "POST")
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the answer: %v, want EOF", err)
	}
	return a
}

type chunked struct{ size int }

func (c chunked) Read(p []byte) (int, error) { return 0, io.EOF }

func (c chunked) WriteTo(w io.Writer) (int64, error) {
	piece := fmt.Sprintf("10000\r\n%s\r\n", strings.Repeat("0", 1<<16))
	for range c.size >> 16 {
		if _, err := io.WriteString(w, piece); err != nil {
			return 0, err
		}
	}
	_, err := io.WriteString(w, "0\r\n\r\n")
	return 0, err
}

func TestABodyOverTheLimitGetsAReadable413(t *testing.T) {
	plain := start(t, Options{}, probeRoutes)
	cert := newAuthority(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure := startOn(t, tls.NewListener(ln, cert.server()), cert.client("orders"), Options{}, probeRoutes)
	for name, r := range map[string]*running{"TCP": plain, "TLS": secure} {
		for i := range 5 {
			t.Run(fmt.Sprintf("%s %d", name, i), func(t *testing.T) {
				rt := *r
				rt.t = t
				head := "POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
				length := fmt.Sprintf("Content-Length: %d\r\n\r\n", huge)
				wantProblem(t, pushAll(t, &rt, head+length, io.LimitReader(zeros{}, huge)), 413, "body-too-large")
				wantProblem(t, pushAll(t, &rt, head+"Transfer-Encoding: chunked\r\n\r\n", chunked{huge}), 413, "body-too-large")
				wantProblem(t, rt.do("POST", "/v1/things", io.LimitReader(zeros{}, huge), "Content-Type: application/json"), 413, "body-too-large")
				wantProblem(t, rt.do("POST", "/v1/things", bytes.NewReader(make([]byte, huge)), "Content-Type: application/json"), 413, "body-too-large")
			})
		}
	}
}

func TestABodyAtTheLimitIsRead(t *testing.T) {
	r := start(t, Options{BodyLimit: 1000}, probeRoutes)
	body := `{"a":1` + strings.Repeat(" ", 1000-7) + "}"
	for name, reader := range map[string]io.Reader{"length": strings.NewReader(body), "chunked": io.MultiReader(strings.NewReader(body))} {
		if a := r.do("POST", "/v1/things", reader, "Content-Type: application/json"); a.StatusCode != 200 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	for name, reader := range map[string]io.Reader{"length": strings.NewReader(body + " "), "chunked": io.MultiReader(strings.NewReader(body + " "))} {
		if a := r.do("POST", "/v1/things", reader, "Content-Type: application/json"); a.StatusCode != 413 {
			t.Errorf("%s, one more: %d %s", name, a.StatusCode, a.body)
		}
	}
}

func TestHeadersOverTheLimitGet431AndAURLOverItGets414(t *testing.T) {
	r := start(t, Options{}, probeRoutes)
	for _, c := range []struct {
		name, text string
		status     int
		code       string
	}{
		{"one header of 20 kB", "GET /v1/things/1 HTTP/1.1\nHost: x\nX-A: " + strings.Repeat("a", 20<<10) + "\n\n", 431, "header-too-large"},
		{"many headers", "GET /v1/things/1 HTTP/1.1\nHost: x\n" + strings.Repeat("X-A: aaaaaaaaaaaaaaaa\n", 1000) + "\n", 431, "header-too-large"},
		{"a header without end", "GET /v1/things/1 HTTP/1.1\nHost: x\nX-A: " + strings.Repeat("a", 1<<20), 431, "header-too-large"},
		{"a path of 9 kB", "GET /v1/things/" + strings.Repeat("a", 9<<10) + " HTTP/1.1\nHost: x\n\n", 414, "uri-too-long"},
		{"a query of 9 kB", "GET /v1/things/1?a=" + strings.Repeat("a", 9<<10) + " HTTP/1.1\nHost: x\n\n", 414, "uri-too-long"},
		{"a path of 100 kB", "GET /v1/things/" + strings.Repeat("a", 100<<10) + " HTTP/1.1\nHost: x\n\n", 414, "uri-too-long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := *r
			rt.t = t
			wantProblem(t, rt.raw(c.text), c.status, c.code)
		})
	}
	if a := r.raw("GET /v1/things/" + strings.Repeat("a", 8000) + " HTTP/1.1\nHost: x\nX-A: " + strings.Repeat("a", 8000) + "\n\n"); a.StatusCode != 200 {
		t.Errorf("16 kB in all: %d %s", a.StatusCode, a.body)
	}
}

func TestASlowClientIsCutOff(t *testing.T) {
	r := start(t, Options{ReadTimeout: 300 * time.Millisecond}, probeRoutes)
	for name, text := range map[string]string{
		"headers": "GET /v1/things/1 HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 1000),
		"body":    "POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
		"chunks":  "POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			rt := *r
			rt.t = t
			c := rt.dial()
			stop := make(chan struct{})
			defer close(stop)
			go func() { // a byte now and then, for ever
				piece := text
				for {
					if _, err := io.WriteString(c, piece); err != nil {
						return
					}
					piece = "1"
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
					}
				}
			}()
			a := rt.read(bufio.NewReader(c), "GET")
			if name == "chunks" { // "1" is no chunk size line yet
				wantProblem(t, a, a.StatusCode, a.problemCode())
				return
			}
			wantProblem(t, a, 408, "request-timeout")
		})
	}
}

func (a answer) problemCode() string {
	if a.StatusCode == 408 {
		return "request-timeout"
	}
	return "bad-request"
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	ended := make(chan struct{})
	r := start(t, Options{WriteTimeout: 200 * time.Millisecond}, func(app *fiber.App) {
		app.Get("/stream", func(c *fiber.Ctx) error {
			c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
				defer close(ended)
				for {
					if _, err := io.CopyN(w, zeros{}, 1<<16); err != nil || w.Flush() != nil {
						return
					}
				}
			})
			return nil
		})
	})
	c := r.dial()
	if _, err := io.WriteString(c, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the server still writes")
	}
}

func TestAStreamMayTakeLongerThanTheWriteTimeout(t *testing.T) {
	const pieces = 10
	r := start(t, Options{WriteTimeout: 100 * time.Millisecond}, func(app *fiber.App) {
		app.Get("/stream", func(c *fiber.Ctx) error {
			c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
				for range pieces {
					time.Sleep(30 * time.Millisecond)
					if _, err := w.WriteString("data\n"); err != nil || w.Flush() != nil {
						return
					}
				}
			})
			return nil
		})
	})
	if a := r.do("GET", "/stream", nil); len(a.body) != pieces*5 {
		t.Errorf("%d bytes, want %d", len(a.body), pieces*5)
	}
}

func TestMoreRequestsThanConcurrencyGet503(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	r := start(t, Options{Concurrency: 2}, func(app *fiber.App) {
		app.Get("/slow", func(c *fiber.Ctx) error {
			inside <- struct{}{}
			<-release
			return c.SendStatus(http.StatusNoContent)
		})
	})
	got := make(chan int, 2)
	for range 2 {
		go func() { got <- r.do("GET", "/slow", nil).StatusCode }()
		<-inside
	}
	a := r.do("GET", "/slow", nil)
	wantProblem(t, a, 503, "overloaded")
	if a.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	close(release)
	for range 2 {
		if status := <-got; status != 204 {
			t.Errorf("status %d", status)
		}
	}
	eventually(t, "room again", func() bool { return r.active.Load() == 0 })
}

func TestConnectionsBeyondTheMostAreClosed(t *testing.T) {
	r := start(t, Options{MaxConnections: 3}, probeRoutes)
	var kept []net.Conn
	for range 3 {
		c := r.dial()
		_, _ = io.WriteString(c, "GET /v1/things/1 HTTP/1.1\r\nHost: x\r\n\r\n")
		if a := r.read(bufio.NewReader(c), "GET"); a.StatusCode != 200 {
			t.Fatalf("status %d", a.StatusCode)
		}
		kept = append(kept, c)
	}
	extra := r.dial()
	if n, err := extra.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Fatalf("read %d, %v; want a closed connection", n, err)
	}
	_ = kept[0].Close()
	eventually(t, "a place is free again", func() bool { return r.conns.count() == 2 })
	if a := r.do("GET", "/v1/things/1", nil); a.StatusCode != 200 {
		t.Errorf("status %d", a.StatusCode)
	}
}
