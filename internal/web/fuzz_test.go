package web

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// scripted is a connection on which the client has said everything at once.
type scripted struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *scripted) Read(p []byte) (int, error)     { return c.in.Read(p) }
func (c *scripted) Write(p []byte) (int, error)    { return c.out.Write(p) }
func (*scripted) Close() error                     { return nil }
func (*scripted) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (*scripted) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }
func (*scripted) SetDeadline(time.Time) error      { return nil }
func (*scripted) SetReadDeadline(time.Time) error  { return nil }
func (*scripted) SetWriteDeadline(time.Time) error { return nil }

// FuzzConnection sends anything at all. Whatever is answered is HTTP, and an error
// is a problem; "/things" must not be reached by another path.
func FuzzConnection(f *testing.F) {
	for _, seed := range []string{
		"GET /v1/things/1 HTTP/1.1\nHost: x\n\n", "POST /v1/things HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 7\n\n{\"a\":1}",
		"POST /v1/things HTTP/1.1\nHost: x\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n7\n{\"a\":1}\n0\n\n", "OPTIONS * HTTP/1.1\nHost: x\n\n",
		"GET http://a/b HTTP/1.1\nHost: x\n\nGET //a HTTP/1.0\n\n", "HEAD /%2e HTTP/1.1\nHost: x\nIf-Match: \"1\"\n\n", "PRI * HTTP/2.0\n\nSM\n\n",
		"POST / HTTP/1.1\nHost: x\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n", "GET / HTTP/1.1\nHost: x\nX: a\n b\n\n", "\x16\x03\x01\x00",
		"GET /v1/things/1?a=%zz HTTP/1.1\nHost: x\nX-Request-Id: a b\nTraceparent: 00-x\nX-Forwarded-For: ,,\n\n", "CONNECT a:1 HTTP/1.1\nHost: x\n\n",
		"POST /v1/things HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 99999999\n\n", "POST / HTTP/1.1\nHost: x\nContent-Encoding: gzip\nContent-Length: 1\n\nx",
	} {
		f.Add([]byte(strings.ReplaceAll(seed, "\n", "\r\n")))
	}
	s := New(Options{Service: "probe", Log: slog.New(slog.DiscardHandler), BodyLimit: 1000, HeaderLimit: 4096, TrustForwarded: true})
	probeRoutes(s.App())
	s.App().Handler()
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &scripted{in: bytes.NewReader(data)}
		_ = s.App().Server().ServeConn(c) // its error is the client's
		br := bufio.NewReader(&c.out)
		for n := 0; ; n++ {
			resp, err := http.ReadResponse(br, &http.Request{Method: "GET"})
			if err != nil {
				if n == 0 && c.out.Len() > 0 {
					t.Fatalf("the answer is no HTTP: %v", err)
				}
				return
			}
			if resp.StatusCode >= 400 && (resp.Header.Get("Content-Type") != ProblemType || resp.Header.Get("X-Request-Id") == "") {
				t.Fatalf("%d with headers %v", resp.StatusCode, resp.Header)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.ContentLength > 0 && bytes.Contains(data, []byte("HEAD")) {
				return // no body follows; the rest can't be told apart
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "//", "/%2e", "/a%2fb", "/%00", "/%", "/\xff", "/%c3%a4", "*", "/a/../b", "/a;b=c"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		if checkPath(path) != nil {
			return
		}
		// What is accepted means the same to net/url, which knows RFC 3986.
		req, err := http.NewRequest("GET", "http://x"+string(path), nil)
		if string(path) == "*" {
			return
		}
		if err != nil || req.URL.EscapedPath() == "" || req.URL.RawQuery != "" || req.URL.Fragment != "" {
			t.Fatalf("%q: %v", path, err)
		}
		plain := req.URL.Path
		if strings.Contains(plain, "//") || strings.ContainsAny(plain, "\x00\\%\n") || strings.Count(plain, "/") != bytes.Count(path, []byte("/")) {
			t.Errorf("%q is %q", path, plain)
		}
		for segment := range strings.SplitSeq(plain, "/") {
			if segment == "." || segment == ".." {
				t.Errorf("%q is %q", path, plain)
			}
		}
	})
}
