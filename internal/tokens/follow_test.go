package tokens_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/metrics"
	"souk/internal/tokens"
	"souk/internal/tokens/tokenstest"
)

var errAway = errors.New("nobody answers")

// In these tests time is the bubble's: an hour is over at once.
func bubble(t *testing.T, f func(t *testing.T, i *tokenstest.Issuer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, tokenstest.New(t)) })
}

// open returns a verifier and what stops it, as the end of its process does.
func open(t *testing.T, source tokens.Source, dir string) (*tokens.Verifier, func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	v, err := tokens.Open(ctx, tokens.Options{Issuer: tokenstest.URL, Source: source, StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return v, func() { stop(); synctest.Wait() }
}

func code(v *tokens.Verifier, token string) string {
	_, err := v.Verify(context.Background(), token)
	if err != nil && errs.CodeOf(err) == "" {
		return err.Error()
	}
	return errs.CodeOf(err)
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestKeysAndRevocationsOutliveARestartWithoutUsers(t *testing.T) {
	dir := t.TempDir()
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		v, stop := open(t, i, dir)
		claims := i.Claims()
		token, other := i.Sign(claims), i.User()
		want(t, "at first", code(v, token), "")
		i.Revoke(tokens.Revocation{Kind: tokens.KindSession, ID: claims["sid"].(string)})
		time.Sleep(time.Second)
		want(t, "logged out", code(v, token), "token-revoked")
		stop()
		want(t, "a verifier that has ended still knows", code(v, token), "token-revoked")

		i.Away(errAway)
		v, stop = open(t, i, dir)
		defer stop()
		want(t, "logged out, after a restart", code(v, token), "token-revoked")
		want(t, "the other", code(v, other), "")
		for _, file := range []string{"token-keys.json", "token-revocations.json"} {
			if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v %v", file, info, err)
			}
		}
	})
}

func TestStateThatCannotBeReadIsOverlooked(t *testing.T) {
	for _, junk := range []string{"", "{", "null", "[]", `{"keys":{"1.a":{"jwk":{"kty":"EC","crv":"P-256","kid":"1.a","x":"AA","y":"AA"}}}}`, `{"revocations":7}`, strings.Repeat("\x00", 4096)} {
		dir := t.TempDir()
		for _, file := range []string{"token-keys.json", "token-revocations.json"} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(junk), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
			i.Away(errAway)
			v, stop := open(t, i, dir)
			defer stop()
			want(t, "no keys", code(v, i.User()), "keys-unavailable")
			i.Away(nil)
			time.Sleep(5 * time.Second)
			want(t, "keys", code(v, i.User()), "")
		})
	}
}

func TestARevocationReachesATokenThatIsRemembered(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		v, stop := open(t, i, "")
		defer stop()
		for kind, claim := range map[string]string{tokens.KindSession: "sid", tokens.KindToken: "jti", tokens.KindSubject: "sub"} {
			claims := i.Claims()
			token, other := i.Sign(claims), i.User()
			for range 3 {
				want(t, "before", code(v, token), "")
				want(t, "another", code(v, other), "")
			}
			time.Sleep(time.Second) // the subject's tokens until now
			i.Revoke(tokens.Revocation{Kind: kind, ID: claims[claim].(string), Before: time.Now()})
			began := time.Now()
			for code(v, token) == "" {
				time.Sleep(10 * time.Millisecond)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s: after %s", kind, took)
			}
			want(t, kind, code(v, token), "token-revoked")
			want(t, "another", code(v, other), "")
			claims["jti"] = uuid.NewString()
			if kind == tokens.KindSession {
				want(t, "a new token of the session", code(v, i.Sign(claims)), "token-revoked")
			} else {
				claims["iat"], claims["exp"], claims["sid"] = time.Now().Unix()+1, time.Now().Unix()+60, uuid.NewString()
				time.Sleep(time.Second)
				want(t, "a new token of the "+kind, code(v, i.Sign(claims)), "")
			}
		}
	})
}

func TestAServiceTokenIsRevokedByItsID(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		v, stop := open(t, i, "")
		defer stop()
		one, two := i.Client("importer", "catalog:write"), i.Client("importer", "catalog:write")
		p, err := v.Verify(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		i.Revoke(tokens.Revocation{Kind: tokens.KindToken, ID: p.TokenID})
		time.Sleep(time.Second)
		want(t, "the one", code(v, one), "token-revoked")
		want(t, "the other", code(v, two), "")
	})
}

func TestRevocationsThatWereMadeWhileUsersWasAwayCountWhenItIsBack(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		v, stop := open(t, i, "")
		defer stop()
		token := i.User()
		p, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		i.Away(errAway)
		time.Sleep(2 * time.Minute)
		i.Revoke(tokens.Revocation{Kind: tokens.KindSession, ID: p.Session.String()})
		time.Sleep(time.Minute)
		want(t, "away", code(v, token), "")
		i.Away(nil)
		time.Sleep(5 * time.Second)
		want(t, "back", code(v, token), "token-revoked")
	})
}

// A database that was restored counts from an earlier number, below every cursor given out.
func TestACursorFromAnotherLifeBlindsNobodyForLong(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		for range 50 {
			i.Revoke(tokens.Revocation{Kind: tokens.KindToken, ID: uuid.NewString()})
		}
		source := &replaced{Source: i}
		v, stop := open(t, source, "")
		defer stop()
		time.Sleep(time.Second)
		fresh := tokenstest.New(t)
		token := i.User()
		p, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		fresh.Revoke(tokens.Revocation{Kind: tokens.KindToken, ID: p.TokenID})
		source.now.Store(fresh)
		time.Sleep(6 * time.Minute)
		want(t, "a revocation of the new life", code(v, token), "token-revoked")
	})
}

func TestRevocationsAreForgottenWithTheTokensTheyAreAbout(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		registry := metrics.New("test", "test")
		if _, err := tokens.Open(t.Context(), tokens.Options{Issuer: tokenstest.URL, Source: i, Metrics: registry}); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			i.Revoke(tokens.Revocation{Kind: tokens.KindToken, ID: uuid.NewString()})
		}
		time.Sleep(time.Second)
		if n := gauge(t, registry, "souk_token_revocations"); n != 1000 {
			t.Errorf("%v", n)
		}
		time.Sleep(11 * time.Minute)
		if n := gauge(t, registry, "souk_token_revocations"); n != 0 {
			t.Errorf("%v are left", n)
		}
		if age := gauge(t, registry, "souk_token_revocations_age_seconds"); age > 25 {
			t.Errorf("they are %v s old", age)
		}
		i.Away(errAway)
		time.Sleep(10 * time.Minute)
		for _, name := range []string{"souk_token_revocations_age_seconds", "souk_token_keys_age_seconds"} {
			if age := gauge(t, registry, name); age < 570 || age > 640 {
				t.Errorf("%s is %v after 10 minutes", name, age)
			}
		}
	})
}

func TestARememberedTokenExpires(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		v, stop := open(t, i, "")
		defer stop()
		token := i.User()
		time.Sleep(tokens.Life - time.Second)
		want(t, "before", code(v, token), "")
		time.Sleep(tokens.Leeway + 2*time.Second)
		want(t, "after", code(v, token), "token-expired")
		want(t, "again", code(v, token), "token-expired")
	})
}

func gauge(t *testing.T, r *metrics.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// slow counts questions about keys, and answers them late.
// canned gives whatever key set it is told to.
// replaced answers about revocations from another issuer, from some time on.
type replaced struct {
	tokens.Source
	now atomic.Pointer[tokenstest.Issuer]
}

func (r *replaced) Revocations(ctx context.Context, after string) (tokens.Feed, error) {
	if i := r.now.Load(); i != nil {
		return i.Revocations(ctx, after)
	}
	return r.Source.Revocations(ctx, after)
}
