package tokens_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/tokens"
	"souk/internal/tokens/tokenstest"
)

func TestWithoutAnyKeyTokensAreNotJudgedUntilUsersIsBack(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		i.Away(errAway)
		v, stop := open(t, i, "")
		defer stop()
		for range 100 {
			want(t, "away", code(v, i.User()), "keys-unavailable")
		}
		if _, err := v.Verify(t.Context(), i.User()); errs.KindOf(err) != errs.Unavailable {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute)
		want(t, "still away", code(v, i.User()), "keys-unavailable")
		want(t, "a bad token", code(v, "x.y.z"), "invalid-token")
		i.Away(nil)
		time.Sleep(5 * time.Second)
		want(t, "back", code(v, i.User()), "")
	})
}

func TestAStartWaitsForTheFirstKeysOnlyShortly(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		source := &slow{Source: i, takes: time.Second}
		v, stop := open(t, source, "")
		defer stop()
		if v.Ready() == nil {
			t.Error("ready without a key")
		}
		began := time.Now()
		want(t, "the first token", code(v, i.User()), "") // waits, as the keys are on their way
		if took := time.Since(began); took > 2*time.Second {
			t.Error(took)
		}
		synctest.Wait()
		if err := v.Ready(); err != nil {
			t.Error(err)
		}
	})
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		i.Away(errAway)
		v, stop := open(t, i, "")
		defer stop()
		time.Sleep(4 * time.Second)
		if v.Ready() == nil {
			t.Error("ready too early")
		}
		time.Sleep(2 * time.Second)
		if err := v.Ready(); err != nil {
			t.Errorf("a service is kept from starting by another: %v", err)
		}
	})
}

func TestKnownKeysServeWhileUsersIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		v, stop := open(t, i, "")
		defer stop()
		want(t, "at first", code(v, i.User()), "")
		i.Away(errAway)
		time.Sleep(24 * time.Hour)
		want(t, "a day later", code(v, i.User()), "")
		claims := i.Claims()
		i.Rotate()
		want(t, "a new key that can't be asked for", code(v, i.Sign(claims)), "keys-unavailable")
		i.Away(nil)
		time.Sleep(4 * time.Second)
		want(t, "the new key", code(v, i.Sign(claims)), "")
	})
}

func TestANewKeyIsFetchedWhenATokenNamesIt(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		v, stop := open(t, i, "")
		defer stop()
		old := i.User()
		want(t, "the old key", code(v, old), "")
		i.Rotate()
		want(t, "the new key", code(v, i.User()), "")
		want(t, "the old key", code(v, old), "")
	})
}

func TestAKeyThatIsNoLongerPublishedIsKeptForATokensLife(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		v, stop := open(t, i, "")
		defer stop()
		want(t, "the key", code(v, i.User()), "")
		kid, old := i.Key()
		i.Rotate()
		i.Withdraw()
		late := func() string { // a token that the old key signs now
			return craft(t, i, toJSON(t, map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": kid}), toJSON(t, i.Claims()),
				func(s string) []byte { return es256(t, old, s) })
		}
		time.Sleep(9 * time.Minute)
		want(t, "within a life", code(v, late()), "")
		time.Sleep(2 * time.Minute)
		want(t, "after it", code(v, late()), "invalid-token")
		want(t, "the new key", code(v, i.User()), "")
	})
}

func TestMadeUpKeyNamesAreNoStorm(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		source := &slow{Source: i}
		v, stop := open(t, source, "")
		defer stop()
		synctest.Wait()
		for range 6000 { // 100 a second, for a minute
			time.Sleep(10 * time.Millisecond)
			token := craft(t, i, toJSON(t, headerOf(i, "kid", uuid.NewString())), "{}", func(string) []byte { return nil })
			if got := code(v, token); got != "invalid-token" {
				t.Fatal(got)
			}
		}
		before := source.asked.Load()
		for _, odd := range []any{nil, "", "../x", strings.Repeat("k", 65), 7, "a b", "a%2f"} {
			time.Sleep(11 * time.Second)
			if at := source.asked.Load(); code(v, craft(t, i, toJSON(t, headerOf(i, "kid", odd)), "{}", nil)) != "invalid-token" || source.asked.Load() != at {
				t.Errorf("somebody was asked for the key %v", odd)
			}
		}
		if n := before; n > 12 { // every 10 s, and every 30 s anyway
			t.Errorf("%d fetches in a minute", n)
		}
		want(t, "good tokens", code(v, i.User()), "")
	})
}

func TestTokensWithANewKeyWaitForOneFetchTogether(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		source := &slow{Source: i}
		v, stop := open(t, source, "")
		defer stop()
		synctest.Wait()
		i.Rotate()
		source.takes = time.Second
		before := source.asked.Load()
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() { want(t, "together", code(v, i.User()), "") })
		}
		wg.Wait()
		if n := source.asked.Load() - before; n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestAUsersServiceThatHangsHoldsUpFewRequestsAndNotForLong(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		source := &slow{Source: i, takes: time.Hour}
		v, stop := open(t, source, "")
		defer stop()
		synctest.Wait()
		began := time.Now()
		var waited atomic.Int64
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				began := time.Now()
				want(t, "meanwhile", code(v, i.User()), "keys-unavailable")
				if time.Since(began) > 0 {
					waited.Add(1)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > 2*time.Second || waited.Load() > 32 {
			t.Errorf("%d waited, up to %s", waited.Load(), took)
		}
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began = time.Now()
		if _, err := v.Verify(short, i.User()); errs.CodeOf(err) != "keys-unavailable" || time.Since(began) > 100*time.Millisecond {
			t.Errorf("it does not heed its context: %v after %s", err, time.Since(began))
		}
	})
}

func TestABrokenKeySetLeavesTheKeysThatThereAre(t *testing.T) {
	bubble(t, func(t *testing.T, i *tokenstest.Issuer) {
		good, err := i.JWKS(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		source := &canned{Source: i}
		source.say(string(good))
		v, stop := open(t, source, "")
		defer stop()
		want(t, "good keys", code(v, i.User()), "")
		kid, _ := i.Key()
		member := func(more string) string {
			return `{"keys":[{"kty":"EC","crv":"P-256","kid":"` + kid + `"` + more + `}]}`
		}
		for _, bad := range []string{
			"", "null", "[]", "{}", `{"keys":[]}`, `{"keys":null}`, `{"keys":{}}`, "<html>", `{"keys":[{"kty":"oct","kid":"` + kid + `","k":"AAAA"}]}`,
			member(""), member(`,"x":"","y":""`), member(`,"x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"`), // not on the curve
			strings.Replace(string(good), "P-256", "P-384", 1), strings.Replace(string(good), `"sig"`, `"enc"`, 1),
			strings.Replace(string(good), `"EC"`, `"OKP"`, 1), `{"keys":[` + strings.Repeat(`{"kty":"oct"},`, 70) + strings.TrimPrefix(string(good), `{"keys":[`),
			strings.Replace(string(good), kid, "../../etc/passwd", 1), strings.Replace(string(good), "ES256", "none", 1),
			strings.Replace(string(good), `"keys":[`, `"keys":[`+strings.TrimSuffix(strings.TrimPrefix(string(good), `{"keys":[`), "]}")+",", 1), // twice
			strings.Repeat("x", 1<<20),
		} {
			source.say(bad)
			time.Sleep(40 * time.Second)
			want(t, fmt.Sprintf("after %.80q", bad), code(v, i.User()), "")
			fresh, stopFresh := open(t, source, "")
			want(t, fmt.Sprintf("of %.80q alone", bad), code(fresh, i.User()), "keys-unavailable")
			stopFresh()
		}
	})
}

type slow struct {
	tokens.Source
	asked atomic.Int64
	takes time.Duration
}

func (s *slow) JWKS(ctx context.Context) ([]byte, error) {
	s.asked.Add(1)
	select {
	case <-time.After(s.takes):
		return s.Source.JWKS(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type canned struct {
	tokens.Source
	set atomic.Pointer[string]
}

func (c *canned) say(set string) { c.set.Store(&set) }

func (c *canned) JWKS(context.Context) ([]byte, error) { return []byte(*c.set.Load()), nil }
