package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestRotatingTheKeyDropsNoRequest rotates twice while customers use, refresh and get tokens.
func TestRotatingTheKeyDropsNoRequest(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(env.Root, "consul-config", "kv", "dev", "users.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := env.Souk(t.Context(), "config", "push", "--dir", documents(t, "users", string(raw)+"\npublish_delay: 20s\n")); err != nil {
		t.Fatalf("config push: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := env.Souk(context.Background(), "config", "push"); err != nil {
			t.Errorf("config push: %v %s", err, out)
		}
	})
	c := newCustomer(t)
	oldest := c.logIn(t)
	l := startTokenLoad(t, c)
	for range 2 {
		before := jwks(t)
		out, err := env.Souk(t.Context(), "keys", "rotate")
		if err != nil {
			t.Fatalf("souk keys rotate: %v %s", err, out)
		}
		rotated := time.Now()
		var kid string
		eventually(t, 15*time.Second, "the new key is published", func(context.Context) error {
			for k := range jwks(t) {
				if before[k] == nil {
					kid = k
					return nil
				}
			}
			return fmt.Errorf("no key beside %d", len(before))
		})
		published := time.Now()
		if l.signedWith(kid) > 0 {
			t.Errorf("key %s signed before it was published", kid)
		}
		eventually(t, time.Minute, "the new key signs", func(context.Context) error {
			if l.signedWith(kid) == 0 {
				return fmt.Errorf("key %s has signed nothing yet", kid)
			}
			return nil
		})
		t.Logf("published %s after the rotation, signing %s after it", published.Sub(rotated).Round(100*time.Millisecond), time.Since(rotated).Round(100*time.Millisecond))
		for k := range before {
			if jwks(t)[k] == nil {
				t.Errorf("key %s is gone while its tokens are good", k)
			}
		}
	}
	time.Sleep(2 * time.Second)
	l.end(t)
	if status, body := withToken(t, oldest.Access); status != http.StatusOK {
		t.Errorf("a token from before both rotations: %d %s", status, body)
	}
}

// tokenLoad are customers whose every request must succeed.
type tokenLoad struct {
	stop     context.CancelFunc
	wg       sync.WaitGroup
	requests atomic.Int64
	mu       sync.Mutex
	failed   []string
	kids     map[string]int
}

func startTokenLoad(t *testing.T, c customer) *tokenLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &tokenLoad{stop: cancel, kids: map[string]int{}}
	for range 3 {
		l.wg.Go(func() {
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
			tokens := c.logIn(t)
			for i := 1; ctx.Err() == nil; i++ {
				status, body, err := fetch(client, "GET", whoami, map[string]string{"Authorization": bearer(tokens.Access)}, nil)
				l.record(status == http.StatusOK && err == nil, "read: %d %s %v", status, body, err)
				if i%20 == 0 {
					fresh, err := refreshed(client, tokens.Refresh)
					l.record(err == nil, "refresh: %v", err)
					if err == nil {
						tokens = fresh
						header, _ := decoded(t, tokens.Access)
						l.mu.Lock()
						l.kids[fmt.Sprint(header["kid"])]++
						l.mu.Unlock()
					}
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return l
}

func (l *tokenLoad) record(ok bool, format string, args ...any) {
	l.requests.Add(1)
	if !ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.failed = append(l.failed, fmt.Sprintf(format, args...))
	}
}

func (l *tokenLoad) signedWith(kid string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kids[kid]
}

func (l *tokenLoad) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.wg.Wait()
	t.Logf("%d requests, %d failed", l.requests.Load(), len(l.failed))
	if len(l.failed) > 0 || l.requests.Load() == 0 {
		t.Errorf("failed requests, the first: %s", l.failed[:min(len(l.failed), 3)])
	}
}

// refreshed exchanges a refresh token of a first-party login.
func refreshed(client *http.Client, token string) (tokens tokensOf, err error) {
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {"souk"}, "refresh_token": {token}}
	status, err := postForm(client, "/oauth2/token", form, &tokens)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the token endpoint answers %d", status)
	}
	return tokens, err
}

// TestTokensAreCheckedWhileUsersAndVaultAreAway: who verifies needs neither, also after a restart of its own.
func TestTokensAreCheckedWhileUsersAndVaultAreAway(t *testing.T) {
	d := deployer(t)
	token := example(t, "merchandiser")
	// It asks for nonsense, so that nothing is made: 4xx after the token was taken, 401 if it was not.
	ask := func() (int, string) {
		status, body, err := fetch(http.DefaultClient, "POST", "/v1/products", map[string]string{"Authorization": bearer(token)}, []byte(`{}`))
		if err != nil {
			return 0, err.Error()
		}
		return status, string(body)
	}
	taken := func(status int) bool {
		return status == http.StatusBadRequest || status == http.StatusUnprocessableEntity
	}
	if status, body := ask(); !taken(status) {
		t.Fatalf("before: %d %s", status, body)
	}
	vault, err := env.Vault()
	if err != nil {
		t.Fatal(err)
	}
	if err := vault.Sys().SealWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		up(t)
		eventually(t, time.Minute, "users is healthy", func(ctx context.Context) error { return d.Healthy(ctx, "souk", "users") })
		example(t, "customer")
	}()
	password, err := env.Secret("example-customer.password")
	if err != nil {
		t.Fatal(err)
	}
	login := map[string]any{"email": "customer@example.com", "password": password}
	status, body, err := fetch(http.DefaultClient, "POST", "/v1/sessions", map[string]string{"Authorization": ""}, login)
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(string(body), `"code"`) {
		t.Errorf("a login while Vault is sealed: %d %s %v, want 503 and a problem", status, body, err)
	}
	// Nomad starts it again, but without Vault it can't.
	if err := taskProcess(t, "users").SendSignal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "users is away", func(context.Context) error {
		if status, _, err := fetch(http.DefaultClient, "GET", "/oauth2/jwks", nil, nil); err != nil || status < 500 {
			return fmt.Errorf("it answers %d %v", status, err)
		}
		return nil
	})
	if status, body := ask(); !taken(status) {
		t.Errorf("with users and Vault away: %d %s", status, body)
	}
	if status, body := withForged(t, token); status != http.StatusUnauthorized {
		t.Errorf("a forged token with users and Vault away: %d %s", status, body)
	}
}

// withForged sends the token with another signature.
func withForged(t *testing.T, token string) (int, string) {
	t.Helper()
	parts := strings.Split(token, ".")
	signature := strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, parts[2])
	return withToken(t, parts[0]+"."+parts[1]+"."+signature)
}
