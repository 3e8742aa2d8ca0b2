package tokens_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"souk/internal/discovery"
	"souk/internal/tokens"
	"souk/internal/tokens/tokenstest"
)

// usersAt serves what h says over TLS, and returns an instance with what trusts it.
func usersAt(t *testing.T, h http.HandlerFunc) (*httptest.Server, discovery.Instance, *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	config := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com" // of httptest's certificate
	return s, discovery.Instance{Address: s.Listener.Addr().String()}, config
}

// speak answers as users does.
func speak(i *tokenstest.Issuer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/oauth2/jwks":
			raw, _ := i.JWKS(r.Context())
			_, _ = w.Write(raw)
		case "/internal/revocations":
			feed, err := i.Revocations(r.Context(), r.URL.Query().Get("after"))
			if err == nil {
				_ = json.NewEncoder(w).Encode(feed)
			}
		}
	}
}

func TestUsersIsAskedOverTLSWhereverAnInstanceAnswers(t *testing.T) {
	i := tokenstest.New(t)
	dead, deadAt, _ := usersAt(t, speak(i))
	dead.Close()
	_, broken, _ := usersAt(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	_, live, config := usersAt(t, speak(i))
	source := tokens.FromUsers(func() []discovery.Instance { return []discovery.Instance{deadAt, broken, live} }, config)
	var v *tokens.Verifier
	for range 5 { // it begins anywhere
		var err error
		if v, err = tokens.Open(t.Context(), tokens.Options{Issuer: tokenstest.URL, Source: source}); err != nil {
			t.Fatal(err)
		}
		until(t, "a token is accepted", func() bool { return code(v, i.User()) == "" })
	}
	claims := i.Claims()
	token := i.Sign(claims)
	want(t, "before", code(v, token), "")
	i.Revoke(tokens.Revocation{Kind: tokens.KindSession, ID: claims["sid"].(string)})
	until(t, "it is revoked", func() bool { return code(v, token) == "token-revoked" })
}

func TestAnswersThatAreNotOfUsersAreErrors(t *testing.T) {
	var answer atomic.Pointer[http.HandlerFunc]
	_, in, config := usersAt(t, func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) })
	source := tokens.FromUsers(func() []discovery.Instance { return []discovery.Instance{in} }, config)
	for name, h := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/elsewhere" {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			}
		},
		"a refusal":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"no content":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"a long text": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat(" ", 70<<10)) },
		"half of it": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
		},
	} {
		answer.Store(&h)
		if raw, err := source.JWKS(t.Context()); err == nil {
			t.Errorf("%s: %d bytes", name, len(raw))
		}
	}
	for _, bad := range []string{"", "[]", `{"cursor":1}`, `{"revocations":[{"kind":1}]}`, `{"revocations":[{"expires":"tomorrow"}]}`, "<html>"} {
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, bad) })
		answer.Store(&h)
		if feed, err := source.Revocations(t.Context(), "x"); err == nil {
			t.Errorf("%s: %+v", bad, feed)
		}
	}
	asked := ""
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.RequestURI
		_, _ = io.WriteString(w, `{"cursor":"1&2","revocations":[{"kind":"token","id":"a","before":"2026-01-02T03:04:05Z","expires":"2026-01-02T03:14:05.5Z"}],"more":1}`)
	})
	answer.Store(&h)
	feed, err := source.Revocations(t.Context(), "1&x=2")
	if err != nil || feed.Cursor != "1&2" || len(feed.Revocations) != 1 || feed.Revocations[0].ID != "a" || asked != "/internal/revocations?after=1%26x%3D2" {
		t.Errorf("%+v %v, asked %s", feed, err, asked)
	}
}

func TestNoInstanceAndAnotherCertificateAreErrors(t *testing.T) {
	i := tokenstest.New(t)
	_, in, config := usersAt(t, speak(i))
	none := tokens.FromUsers(func() []discovery.Instance { return nil }, config)
	if _, err := none.JWKS(t.Context()); err == nil {
		t.Error("nobody answered")
	}
	config.ServerName = "users.souk.internal"
	other := tokens.FromUsers(func() []discovery.Instance { return []discovery.Instance{in} }, config)
	if _, err := other.JWKS(t.Context()); err == nil {
		t.Error("whoever answers is believed")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := other.Revocations(ended, ""); err == nil {
		t.Error("it does not heed its context")
	}
}
