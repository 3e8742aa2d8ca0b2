package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"souk/services/users/app"
)

// BenchmarkLogIn says how many logins there are in a second, all instances' work on one machine's cores, and how much of
// the time is not the hash: one login after the other, and as many at once as there are cores.
func BenchmarkLogIn(b *testing.B) {
	a := openAccounts(b, app.DefaultLockout())
	passwords, ok := a.hasher.Hasher.(*app.Passwords)
	if !ok {
		b.Fatal("not the real hash")
	}
	emails := make([]string, 16)
	for i := range emails {
		emails[i] = newEmail()
		a.user(emails[i])
	}
	logIn := func(i int) {
		if _, err := a.LogIn(b.Context(), emails[i%len(emails)], password, from(i%len(emails))); err != nil {
			b.Error(err)
		}
	}
	for _, c := range []struct {
		name string
		wide bool
	}{{"one", false}, {"parallel", true}} {
		b.Run(c.name, func(b *testing.B) {
			before := passwords.Stats()
			var next atomic.Int64
			b.ResetTimer()
			workers := 1.0
			if c.wide {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						logIn(int(next.Add(1)))
					}
				})
			} else {
				for i := range b.N {
					logIn(i)
				}
				after := passwords.Stats()
				hashing := after.Spent - before.Spent
				b.ReportMetric(100*(1-float64(hashing)/float64(b.Elapsed())/workers), "%outside-hash")
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
		})
	}
	b.Run("hash-alone-parallel", func(b *testing.B) {
		hash, err := passwords.Hash(b.Context(), from(1), password)
		if err != nil {
			b.Fatal(err)
		}
		var next atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, _, err := passwords.Verify(b.Context(), from(int(next.Add(1))%16), password, hash); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hashes/s")
	})
}

// BenchmarkLogInWhileAnotherAccountIsGuessedAt compares a user's logins before and during 10,000 failed ones of another
// account, from as many addresses as there are: a thousand a second, and as many as the machine can do.
func BenchmarkLogInWhileAnotherAccountIsGuessedAt(b *testing.B) {
	a := openAccounts(b, app.DefaultLockout())
	email, victim := newEmail(), newEmail()
	a.user(email)
	a.user(victim)
	measure := func(until <-chan struct{}, least int) (times []time.Duration) {
		for {
			select {
			case <-until:
				if len(times) >= least {
					return times
				}
			default:
			}
			began := time.Now()
			if _, err := a.LogIn(b.Context(), email, password, from(1)); err != nil {
				b.Fatal(err)
			}
			times = append(times, time.Since(began))
		}
	}
	now := make(chan struct{})
	close(now)
	for _, pause := range []time.Duration{16 * time.Millisecond, 0} { // of each of 16 attackers
		quiet := measure(now, 100)
		before := a.hasher.hashed.Load()
		over := make(chan struct{})
		began := time.Now()
		go func() {
			defer close(over)
			var attackers sync.WaitGroup
			for n := range 16 {
				attackers.Go(func() {
					for i := range 10_000 / 16 {
						_, _ = a.LogIn(context.Background(), victim, "not the password", from(2+(n*7+i)%200))
						time.Sleep(pause)
					}
				})
			}
			attackers.Wait()
		}()
		busy := measure(over, 1)
		took := time.Since(began)
		hashes := a.hasher.hashed.Load() - before - int64(len(busy))
		b.Logf("alone: %s; during 10,000 failures in %s: %s (%d logins); the failures took %d hashes",
			spread(quiet), took.Round(time.Millisecond), spread(busy), len(busy), hashes)
	}
}

// BenchmarkFailedLogIn shows the times of failures with and without an account: in turns, in any order.
func BenchmarkFailedLogIn(b *testing.B) {
	l := app.DefaultLockout()
	l.AccountFailures, l.AddressFailures = 1<<30, 1<<30
	a := openAccounts(b, l)
	emails := []string{newEmail(), newEmail()}
	a.user(emails[0])
	times := make([][]time.Duration, 2)
	for range b.N {
		for _, i := range rand.Perm(2) { // the garbage of one is collected during the next
			email := emails[i]
			began := time.Now()
			_ = a.fail(email, from(1))
			times[i] = append(times[i], time.Since(began))
		}
	}
	if b.N > 100 {
		b.Logf("%d each: with an account %s; without %s", b.N, spread(times[0]), spread(times[1]))
	}
}

func spread(times []time.Duration) string {
	slices.Sort(times)
	at := func(share float64) time.Duration {
		return times[int(share*float64(len(times)-1))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("p10 %s p50 %s p90 %s p99 %s", at(0.1), at(0.5), at(0.9), at(0.99))
}
