package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"souk/internal/errs"
	"souk/internal/tokens"
	"souk/services/users/app"
)

func TestAVersionSignsAfterItsDelayAndIsPublishedUntilItsLastTokenHasExpired(t *testing.T) {
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const delay = time.Minute
	var versions []version
	for i := range 3 {
		versions = append(versions, version{number: i + 1, created: begin.Add(time.Duration(i) * time.Hour), kid: fmt.Sprint(i + 1)})
	}
	for _, c := range []struct {
		at           time.Duration
		have         int // versions that Vault has by then
		signs, shown string
	}{
		{0, 1, "1", "1"},
		{time.Hour, 2, "1", "12"},
		{time.Hour + delay - 1, 2, "1", "12"},
		{time.Hour + delay, 2, "2", "12"},
		{time.Hour + delay + tokens.Life + keyMargin - 1, 2, "2", "12"},
		{time.Hour + delay + tokens.Life + keyMargin, 2, "2", "2"},
		{2 * time.Hour, 3, "2", "23"},
		{2*time.Hour + delay, 3, "3", "23"},
		{4 * time.Hour, 3, "3", "3"},
	} {
		now := begin.Add(c.at)
		shown := ""
		for _, v := range published(versions[:c.have], delay, now) {
			shown += v.kid
		}
		if got := signing(versions[:c.have], delay, now).kid; got != c.signs || shown != c.shown {
			t.Errorf("after %s: %s signs, %s are published; want %s, %s", c.at, got, shown, c.signs, c.shown)
		}
	}
}

func TestTheKidHasTheThumbprintOfRFC7638(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	v := version{number: 7, public: &private.PublicKey}
	must(t, v.describe())
	if !strings.HasPrefix(v.kid, "7.") || len(v.kid) != 10 || !strings.Contains(string(v.jwk), v.kid) {
		t.Errorf("%s %s", v.kid, v.jwk)
	}
}

func TestLifetimesAgreeWithWhatVerifiersRemember(t *testing.T) {
	if app.AccessTokenLife != tokens.Life {
		t.Errorf("tokens live %s, and are believed for %s", app.AccessTokenLife, tokens.Life)
	}
}

func TestAServerThatStopsKeepsNoVerifierWaiting(t *testing.T) {
	s := &Server{opts: Options{Store: nothingRevoked{}}}
	s.news.init()
	waiting := make(chan error, 1)
	go func() {
		_, err := s.Revocations(t.Context(), "a cursor")
		waiting <- err
	}()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	s.Follow(stopped)
	if err := <-waiting; err != nil && errs.CodeOf(err) != "stopping" { // it may have come after the end
		t.Error(err)
	}
	if _, err := s.Revocations(t.Context(), "a cursor"); errs.CodeOf(err) != "stopping" {
		t.Errorf("got %v", err)
	}
}

type nothingRevoked struct{ Store }

func (nothingRevoked) RevokedSince(context.Context, string) (tokens.Feed, error) {
	return tokens.Feed{Cursor: "a cursor"}, nil
}

// aNewVersionIsPublishedBeforeItSigns rotates the key in Vault, as an operator does.
func (h *harness) aNewVersionIsPublishedBeforeItSigns(t *testing.T) {
	var delay atomic.Int64
	keys := &Keys{vault: h.id.Vault(), delay: func() time.Duration { return time.Duration(delay.Load()) }, log: slog.New(slog.DiscardHandler)}
	must(t, keys.read(t.Context()))
	before := keys.signed(t, h.url)
	had, err := keys.known()
	must(t, err)
	root, err := h.env.Vault()
	must(t, err)
	if _, err := root.Logical().WriteWithContext(t.Context(), "transit/keys/"+keyName+"/rotate", nil); err != nil {
		t.Fatal(err)
	}
	delay.Store(int64(time.Since(had[len(had)-1].created))) // the version before has waited for as long, the new one has not
	must(t, keys.read(t.Context()))
	if during := keys.signed(t, h.url); during != before {
		t.Errorf("%s signed, and then %s before its time", before, during)
	}
	delay.Store(0)
	after := keys.signed(t, h.url)
	set, err := keys.JWKS(t.Context())
	must(t, err)
	if after == before || !strings.Contains(string(set), before) || !strings.Contains(string(set), after) {
		t.Errorf("%s signs after %s; published are %s", after, before, set)
	}
}

// signed is the kid of a token that is signed now, and verified with the keys published.
func (k *Keys) signed(t *testing.T, issuer string) string {
	t.Helper()
	c, err := newClaims(issuer, "subject", "client", []string{"scope"}, time.Now())
	must(t, err)
	token, err := k.Sign(t.Context(), c)
	must(t, err)
	if _, err := k.verify(issuer, token); err != nil {
		t.Error(err)
	}
	versions, err := k.known()
	must(t, err)
	return signing(versions, k.delay(), time.Now()).kid
}

func (h *harness) withoutVault(t *testing.T) {
	u := h.user(t)
	first := h.tokens(t, u)
	code, verifier := h.code(t, u)
	away := h.proxyToVault(t)
	away.Store(true)
	for _, a := range []answer{
		h.refresh(t, first.Refresh), h.redeem(t, code, verifier),
		h.call(t, "/oauth2/token", "grant_type", "client_credentials", "basic", "robot:"+robotSecret),
	} {
		if a.status != 503 || a.Error != "temporarily_unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("%+v", a)
		}
	}
	if _, err := h.server.LogIn(t.Context(), u, Device{}); errs.CodeOf(err) != "signing-unavailable" {
		t.Errorf("got %v", err)
	}
	if p := get(t, h.browser(t), h.url+"/oauth2/jwks"); p.status != 200 || !strings.Contains(p.body, "ES256") {
		t.Errorf("%d %s", p.status, p.body)
	}
	if !h.introspect(t, first.Access).Active {
		t.Error("a token can't be checked without Vault")
	}
	away.Store(false)
	if a := h.refresh(t, first.Refresh); a.status != 200 {
		t.Errorf("the refresh token was used up: %+v", a)
	}
	if a := h.redeem(t, code, verifier); a.status != 200 {
		t.Errorf("the code was used up: %+v", a)
	}
}

// proxyToVault puts a proxy between the server and Vault for the rest of the test, that breaks connections off while away
// is set.
func (h *harness) proxyToVault(t *testing.T) (away *atomic.Bool) {
	t.Helper()
	away = new(atomic.Bool)
	target, err := url.Parse(h.env.VaultAddr())
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	})}
	l := listen(t)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	config := vaultapi.DefaultConfig()
	config.Address, config.MaxRetries = "http://"+l.Addr().String(), 0
	vault, err := vaultapi.NewClient(config)
	must(t, err)
	vault.SetToken(h.id.Vault().Token())
	direct := h.server.opts.Keys
	ctx, stop := context.WithCancel(t.Context())
	h.server.opts.Keys = NewKeys(ctx, vault, direct.delay, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { stop(); h.server.opts.Keys = direct })
	return away
}
