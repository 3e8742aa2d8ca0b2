package app

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"souk/internal/errs"
)

func TestANetworkIsWhatOneCustomerHas(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := network(netip.MustParseAddr(from)); got.String() != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
	if network(netip.Addr{}).IsValid() {
		t.Error("no address has a network")
	}
}

func TestTheGateLetsFewInAndForgetsWhoHasGone(t *testing.T) {
	var g gate
	var leaves []func()
	for range gateWidth {
		leave, err := g.enter(t.Context(), "jane")
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	waiting, give := context.WithCancel(t.Context())
	outcomes := make(chan error)
	for range gateQueue {
		go func() {
			_, err := g.enter(waiting, "jane")
			outcomes <- err
		}()
	}
	for full := false; !full; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		full = g.doors["jane"].inside == gateWidth+gateQueue
		g.mu.Unlock()
	}
	if _, err := g.enter(t.Context(), "jane"); !errors.Is(err, ErrLoginLocked) {
		t.Errorf("the queue is full: %v", err)
	}
	leave, err := g.enter(t.Context(), "john")
	if err != nil {
		t.Fatal(err)
	}
	leave()
	give()
	for range gateQueue {
		if err := <-outcomes; !errors.Is(err, context.Canceled) {
			t.Errorf("whoever gave up: %v", err)
		}
	}
	for _, leave := range leaves {
		leave()
	}
	if len(g.doors) != 0 {
		t.Errorf("%d doors are left", len(g.doors))
	}
}

func TestRetryAfterIsInWholeSecondsAndNeverZero(t *testing.T) {
	for remaining, want := range map[time.Duration]time.Duration{
		time.Nanosecond: time.Second, 999 * time.Millisecond: time.Second, time.Second: time.Second, 1001 * time.Millisecond: 2 * time.Second,
	} {
		err := lockedFor(remaining)
		if !errors.Is(err, ErrLoginLocked) || ErrLoginLocked.RetryAfter != 0 {
			t.Fatal(err)
		}
		if e := (*errs.Error)(nil); !errors.As(err, &e) || e.RetryAfter != want {
			t.Errorf("%s: %v, want %s", remaining, err, want)
		}
	}
}

func FuzzLinksAreReadOrRefused(f *testing.F) {
	for _, seed := range []string{"", "smv_", "smv_" + newSecret(), "spr_" + newSecret()} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		link, err := linkOf(token, verifyPrefix)
		if (err == nil) != (len(link) == 32) || err == nil && len(token) != len(verifyPrefix)+43 {
			t.Errorf("%q: %x, %v", token, link, err)
		}
	})
}
