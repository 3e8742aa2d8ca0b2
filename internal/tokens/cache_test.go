package tokens_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"souk/internal/metrics"
	"souk/internal/tokens"
	"souk/internal/tokens/tokenstest"
)

func TestATokenThatIsKnownCostsNoMemory(t *testing.T) {
	i := tokenstest.New(t)
	v, token := i.Verifier(), i.User("admin")
	i.Revoke(tokens.Revocation{Kind: tokens.KindToken, ID: "another"}) // so that there is something to look through
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	i, registry := tokenstest.New(t), metrics.New("test", "test")
	v, err := tokens.Open(t.Context(), tokens.Options{Issuer: tokenstest.URL, Source: i, Metrics: registry, CacheSize: 64})
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if _, err := v.Verify(t.Context(), i.User()); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), i.Expired()); err == nil { // what is refused is not kept
			t.Fatal("accepted")
		}
	}
	if n := gauge(t, registry, "souk_token_cache_entries"); n > 64 || n < 32 {
		t.Errorf("%v entries", n)
	}
}

// For the race detector: everything at once, and nobody gets another's principal.
func TestManyAtOnceGetTheirOwnPrincipals(t *testing.T) {
	i := tokenstest.New(t)
	v, err := tokens.Open(t.Context(), tokens.Options{Issuer: tokenstest.URL, Source: i, CacheSize: 32})
	if err != nil {
		t.Fatal(err)
	}
	type pair struct{ token, subject string }
	var pairs []pair
	for range 100 {
		claims := i.Claims()
		pairs = append(pairs, pair{i.Sign(claims), claims["sub"].(string)})
	}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for range 500 {
				one := pairs[rand.IntN(len(pairs))]
				if p, err := v.Verify(t.Context(), one.token); err != nil || p.Subject != one.subject {
					t.Errorf("%v %v, want %s", p, err, one.subject)
				}
				if n == 0 {
					i.Revoke(tokens.Revocation{Kind: tokens.KindSession, ID: "of nobody"})
				}
				if n == 1 && rand.IntN(100) == 0 {
					i.Rotate()
				}
			}
		})
	}
	wg.Wait()
}

func TestAnIssuerHasOneSpelling(t *testing.T) {
	for issuer, good := range map[string]bool{
		"https://shop.example": true, "http://127.0.0.1:20000": true, "https://shop.example:8443/souk": true,
		"": false, "shop.example": false, "https://": false, "https://shop.example/": false, "https://Shop.example": false, "ftp://shop.example": false,
		"https://shop.example?x=1": false, "https://shop.example#x": false, "https://u:p@shop.example": false, "//shop.example": false,
	} {
		if err := tokens.CheckIssuer(issuer); (err == nil) != good {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	t.Setenv("SOUK_ISSUER", "")
	if _, err := tokens.IssuerFromEnv(); err == nil {
		t.Error("none is taken for one")
	}
}
