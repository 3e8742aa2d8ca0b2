package seed

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func TestPassingFailuresAreRepeated(t *testing.T) {
	for name, fail := range map[string]func(w http.ResponseWriter){
		"429": func(w http.ResponseWriter) { problem(w, http.StatusTooManyRequests, "rate-limited", "slow down") },
		"502": func(w http.ResponseWriter) { http.Error(w, "<html>bad gateway</html>", http.StatusBadGateway) },
		"503": func(w http.ResponseWriter) { problem(w, http.StatusServiceUnavailable, "no-instance", "wait") },
		"504": func(w http.ResponseWriter) { problem(w, http.StatusGatewayTimeout, "timeout", "too slow") },
		"409 in flight": func(w http.ResponseWriter) {
			problem(w, http.StatusConflict, "idempotency-in-flight", "still being worked on")
		},
		"no answer": cut,
		"half an answer": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"items":[`))
		},
	} {
		for _, afterEffect := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after the work: %v", name, afterEffect), func(t *testing.T) {
				t.Parallel()
				s, c := openShop(t), small()
				c.Products = c.Products[:40]
				s.disturb = func(n int, effect bool, w http.ResponseWriter, _ *http.Request) bool {
					if n%5 != 1 || effect != afterEffect {
						return false
					}
					fail(w)
					return true
				}
				r := s.apply(c)
				if r.Created()+r.There != smallCategories+40 {
					t.Errorf("got %+v, want %d in all", r, smallCategories+40)
				}
				s.holds(c)
			})
		}
	}
}

func TestRetryAfterIsKept(t *testing.T) {
	for name, header := range map[string]func() string{
		"seconds": func() string { return "1" },
		"a date":  func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openShop(t)
			var again, said time.Time
			s.disturb = func(n int, effect bool, w http.ResponseWriter, r *http.Request) bool {
				if effect || r.Method != http.MethodPost {
					return false
				}
				if said.IsZero() {
					said = time.Now()
					w.Header().Set("Retry-After", header())
					problem(w, http.StatusTooManyRequests, "rate-limited", "slow down")
					return true
				}
				if again.IsZero() {
					again = time.Now()
				}
				return false
			}
			c := small()
			c.Products = c.Products[:1]
			s.apply(c)
			if waited := again.Sub(said); waited < 900*time.Millisecond {
				t.Errorf("came again after %s, although told to wait", waited)
			}
		})
	}
}

func TestAShopThatStaysAwayEndsTheRunWithItsReason(t *testing.T) {
	for name, c := range map[string]struct {
		retryAfter string
		want       []string
	}{
		"for good":                {"", []string{"503 Service Unavailable: no instance of catalog is healthy", "(request req-7)", "(tries: "}},
		"for longer than we wait": {"3600", []string{"it asks to wait 1h0m0s", "(tries: 1)"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t)
			s.disturb = func(_ int, _ bool, w http.ResponseWriter, _ *http.Request) bool {
				if c.retryAfter != "" {
					w.Header().Set("Retry-After", c.retryAfter)
				}
				problem(w, http.StatusServiceUnavailable, "no-instance", "no instance of catalog is healthy")
				return true
			}
			r, err := Apply(t.Context(), Client{BaseURL: s.URL, patience: time.Second}, small(), nil)
			mentions(t, err, append(c.want, "after 0 of 255")...)
			if r != (Result{}) {
				t.Errorf("got %+v beside the error, want nothing", r)
			}
		})
	}
}

func TestARefusalEndsTheRunWithWhatToChange(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   []string
	}{
		"a problem": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"code":"invalid-product","detail":"the product breaks a rule","errors":[{"pointer":"/variants/0/price","detail":"must be 0 or more"}],"request_id":"req-9"}`)
		}, []string{"422 Unprocessable Entity: the product breaks a rule [/variants/0/price: must be 0 or more] (request req-9)"}},
		"a problem without detail": {func(w http.ResponseWriter) { problem(w, http.StatusInternalServerError, "internal", "") },
			[]string{"500 Internal Server Error: internal"}},
		"a page of HTML": {func(w http.ResponseWriter) {
			http.Error(w, "<html>\n\x00 go  away "+strings.Repeat("!", 1<<20), http.StatusForbidden)
		}, []string{"403 Forbidden: <html>", "go away"}},
		"another success": {func(w http.ResponseWriter) { reply(w, http.StatusOK, "fine") }, []string{"200 OK"}},
		"no JSON":         {func(w http.ResponseWriter) { w.WriteHeader(http.StatusCreated) }, []string{"not the JSON that was expected"}},
		"another conflict": {func(w http.ResponseWriter) { problem(w, http.StatusConflict, "too-many", "the shop is full") },
			[]string{"409 Conflict: the shop is full"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t)
			s.disturb = func(_ int, effect bool, w http.ResponseWriter, r *http.Request) bool {
				if effect || r.Method != http.MethodPost || r.URL.Path != productsPath {
					return false
				}
				c.answer(w)
				return true
			}
			r, err := Apply(t.Context(), s.client(), small(), nil)
			mentions(t, err, append(c.want, "create product thing-")...)
			if len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if r.Categories != smallCategories || r.Products != 0 {
				t.Errorf("got %+v beside the error, want the categories that were created", r)
			}
			if _, posts := s.posts(); posts > smallCategories+parallel {
				t.Errorf("%d requests to create something: it went on after the refusal", posts)
			}
		})
	}
}

func TestNobodyListening(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, err = Apply(t.Context(), Client{BaseURL: "http://" + address, patience: 500 * time.Millisecond}, small(), nil)
	mentions(t, err, address, "connection refused", "(tries: ")
}

func TestACancelledRunEndsWhileItWaits(t *testing.T) {
	s := openShop(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.disturb = func(_ int, _ bool, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "1000")
		problem(w, http.StatusServiceUnavailable, "no-instance", "wait")
		cancel()
		return true
	}
	_, err := Apply(ctx, Client{BaseURL: s.URL, patience: time.Hour}, small(), nil)
	mentions(t, err, context.Canceled.Error())
}

func TestABadAddressIsSaidAtOnce(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:20000", "ftp://shop", "http://", "http://a b", "://"} {
		_, err := Apply(t.Context(), Client{BaseURL: address}, small(), nil)
		mentions(t, err, "is no address of a gateway")
	}
}

func TestASlashAfterTheAddressDoesNoHarm(t *testing.T) {
	s, c := openShop(t), small()
	if _, err := Apply(t.Context(), Client{BaseURL: s.URL + "/", HTTP: http.DefaultClient}, c, nil); err != nil {
		t.Fatal(err)
	}
	s.holds(c)
}

func mentions(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %v\nwant in it: %s", err, part)
		}
	}
}
