package webhooks

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func newTestClient(t *testing.T, networks ...string) *Client {
	t.Helper()
	guard, err := NewGuard(Settings{Networks: networks})
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(guard, nil)
	t.Cleanup(c.Close)
	return c
}

func TestOnlyPublicAddressesAreCalled(t *testing.T) {
	guard, err := NewGuard(Settings{Networks: []string{"10.1.0.0/16"}})
	if err != nil {
		t.Fatal(err)
	}
	for text, public := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "10.1.2.3": true, "::ffff:93.184.216.34": true,
		"127.0.0.1": false, "0.0.0.0": false, "10.2.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false,
		"fd00::1": false, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false,
	} {
		if err := guard.Address(netip.MustParseAddr(text)); (err == nil) != public {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A name is judged by what it means when it is called, so that one that meant a public address when the endpoint was
// made, or a moment ago, is of no use. localhost stands for such a name.
func TestANameThatLeadsInsideIsNotCalled(t *testing.T) {
	var called atomic.Int32
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	defer receiver.Close()
	_, port, _ := net.SplitHostPort(receiver.Listener.Addr().String())
	c := newTestClient(t)
	for _, host := range []string{"localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "127.1", "0"} {
		got := c.post(t.Context(), "http://"+net.JoinHostPort(strings.Trim(host, "[]"), port)+"/", http.Header{}, nil)
		if got.status != 0 || got.problem == "" {
			t.Errorf("%s: got %+v", host, got)
		}
	}
	if got := c.post(t.Context(), receiver.URL, http.Header{}, nil); got.problem != problemAddress {
		t.Errorf("got %+v", got)
	}
	if called.Load() != 0 {
		t.Errorf("the inside was called %d times", called.Load())
	}
}

// read takes the body first: until then a server does not notice that its client has gone.
func read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		next.ServeHTTP(w, r)
	})
}

func TestAHostileReceiverCostsLittle(t *testing.T) {
	var followed atomic.Int32
	sent := func(n int, chunk string) http.HandlerFunc { // until the other end goes away
		return func(w http.ResponseWriter, r *http.Request) {
			for range n {
				if _, err := fmt.Fprint(w, chunk); err != nil {
					return
				}
				if f, ok := w.(http.Flusher); ok && len(chunk) < 10 {
					f.Flush()
					select {
					case <-r.Context().Done():
						return
					case <-time.After(20 * time.Millisecond):
					}
				}
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/endless", sent(1<<20, strings.Repeat("x", 1<<16)))
	mux.HandleFunc("/dripping", sent(1<<20, "x"))
	mux.HandleFunc("/header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/followed", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/followed", func(http.ResponseWriter, *http.Request) { followed.Add(1) })
	mux.HandleFunc("/later", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/never", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "99999999999999999999")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	receiver := httptest.NewServer(read(mux))
	defer receiver.Close()
	secure := httptest.NewTLSServer(read(mux)) // with a certificate that nobody vouches for
	defer secure.Close()
	plain := strings.Replace(receiver.URL, "http:", "https:", 1) // and it speaks no TLS
	c := newTestClient(t, "127.0.0.0/8")
	for path, want := range map[string]answer{
		receiver.URL + "/ok":       {status: 200},
		receiver.URL + "/silent":   {problem: problemTimeout},
		receiver.URL + "/endless":  {status: 200},
		receiver.URL + "/dripping": {status: 200},
		receiver.URL + "/header":   {problem: problemConnection},
		receiver.URL + "/moved":    {status: 307, problem: problemRedirect},
		receiver.URL + "/later":    {status: 503, problem: problemStatus, retryAfter: 2 * time.Minute},
		receiver.URL + "/never":    {status: 503, problem: problemStatus},
		secure.URL + "/ok":         {problem: problemTLS},
		plain + "/ok":              {problem: problemTLS},
		"http://127.0.0.1:1/":      {problem: problemConnection},
		"http://x.invalid/":        {problem: problemName},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if strings.HasSuffix(path, "/silent") {
			ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		}
		if got := c.post(ctx, path, http.Header{}, []byte("{}")); got != want {
			t.Errorf("%s: got %+v, want %+v", path, got, want)
		}
		cancel()
	}
	if followed.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestEverySecretThatIsGoodSigns(t *testing.T) {
	const first, second, other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	body := []byte(`{"test": 2432232314}`)
	header, err := sign(uuid.New(), time.Now(), body, []string{first, second})
	if err != nil {
		t.Fatal(err)
	}
	for secret, good := range map[string]bool{first: true, second: true, other: false} {
		receiver, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := receiver.Verify(body, header); (err == nil) != good {
			t.Errorf("with %s: %v", secret, err)
		}
	}
}
