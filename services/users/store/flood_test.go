package store

import (
	"context"
	"sync"
	"testing"
)

// The figures are in BenchmarkLogInWhileAnotherAccountIsGuessedAt.
func TestTenThousandFailedLoginsOfAnAccountAreFiveHashes(t *testing.T) {
	a, victim, email := openAccounts(t, strict()), newEmail(), newEmail()
	a.user(victim)
	a.user(email)
	before := a.hasher.hashed.Load()
	var attackers sync.WaitGroup
	for n := range 16 {
		attackers.Go(func() {
			for i := range 10_000 / 16 {
				_, _ = a.LogIn(context.Background(), victim, "not the password", from(2+(n*7+i)%200))
			}
		})
	}
	const own = 20
	for range own {
		if _, err := a.LogIn(t.Context(), email, password, from(1)); err != nil {
			t.Errorf("another user: %v", err)
		}
	}
	attackers.Wait()
	if n := a.hasher.hashed.Load() - before - own; n != 5 {
		t.Errorf("%d hashes", n)
	}
	if n := a.count("SELECT count(*) FROM attempts"); n > 10 {
		t.Errorf("%d counters", n)
	}
}
