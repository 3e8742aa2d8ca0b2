package app

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestALockIsRememberedForAMomentAndForItsAddress(t *testing.T) {
	m := lockMemory{life: time.Second}
	now := time.Now()
	here := Attempt{Login: loginOf("a@example.com"), From: network(netip.MustParseAddr("192.0.2.1"))}
	there := Attempt{Login: here.Login, From: network(netip.MustParseAddr("192.0.2.2"))}
	m.keep(here, now, 4*time.Second)
	for name, c := range map[string]struct {
		attempt Attempt
		after   time.Duration
		want    time.Duration
	}{
		"at once":                    {here, 0, 4 * time.Second},
		"a little later":             {here, 900 * time.Millisecond, 3100 * time.Millisecond},
		"when it may be out of date": {here, time.Second, 0},
		"from elsewhere":             {there, 0, 0},
	} {
		if got := m.remaining(c.attempt, now.Add(c.after)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	m.keep(here, now, 500*time.Millisecond)
	if got := m.remaining(here, now.Add(600*time.Millisecond)); got != 0 {
		t.Errorf("after its end: %s", got)
	}
	m.keep(here, now, time.Minute)
	m.keep(there, now, time.Minute)
	m.forget(here.Login)
	if m.remaining(here, now) != 0 || m.remaining(there, now) != 0 {
		t.Error("it is remembered after the account was unlocked")
	}
}

func TestTheMemoryOfLocksIsBounded(t *testing.T) {
	m := lockMemory{life: time.Second}
	for i := range 3 * recentLocks {
		m.keep(Attempt{Login: loginOf(fmt.Sprintf("%d@example.com", i))}, time.Now(), time.Minute)
	}
	if len(m.locks) > recentLocks {
		t.Errorf("%d locks are kept", len(m.locks))
	}
}
