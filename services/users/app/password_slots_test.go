package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"souk/internal/errs"
)

// turns has callers wait for the only slot, one after the other, and gives the order in which they had it, with "!" for those
// that were refused. A caller is the last part of an address in 2001:db8::/32, one /64 each.
func turns(t *testing.T, queue, perPeer int, callers string) string {
	var order []string
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, queue, perPeer)
		release, err := s.acquire(t.Context(), netip.Addr{})
		if err != nil {
			t.Fatal(err)
		}
		for i, caller := range strings.Fields(callers) {
			go func() {
				// Within one /64 every request comes from another address.
				release, err := s.acquire(t.Context(), netip.MustParseAddr(fmt.Sprintf("2001:db8:%s::%x", caller, i+1)))
				if err != nil {
					if errs.CodeOf(err) != "too-busy" || errs.KindOf(err) != errs.Unavailable {
						t.Error(err)
					}
					order = append(order, caller+"!")
					return
				}
				order = append(order, caller)
				release()
			}()
			synctest.Wait()
		}
		release()
		synctest.Wait()
		if running, waiting, _ := s.figures(); running != 0 || waiting != 0 || len(s.peers) != 0 || len(s.turns) != 0 {
			t.Errorf("left behind: %d running, %d waiting, %d peers, %d turns", running, waiting, len(s.peers), len(s.turns))
		}
	})
	return strings.Join(order, " ")
}

func TestAddressesTakeTurns(t *testing.T) {
	for _, x := range []struct {
		queue, perPeer int
		callers, want  string
	}{
		{10, 10, "1 1 1 1 2 2 3", "1 2 3 1 2 1 1"},
		{10, 10, "1 2 1 2 1 2", "1 2 1 2 1 2"},
		{10, 2, "1 1 1 1 2", "1! 1! 1 2 1"},         // no more than its own share of the queue
		{4, 4, "1 1 1 1 2", "1! 1 2 1 1"},           // a full queue: the one with the most waiting loses its last
		{4, 4, "1 1 1 1 2 2 2", "1! 1! 2! 1 2 1 2"}, // until they are even
		{3, 3, "1 2 3 4", "4! 1 2 3"},               // even: nobody loses a place that he has
	} {
		if got := turns(t, x.queue, x.perPeer, x.callers); got != x.want {
			t.Errorf("%d, %d: %s: %s, want %s", x.queue, x.perPeer, x.callers, got, x.want)
		}
	}
}

func TestWhoGoesAwayLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, 4, 4)
		release, err := s.acquire(t.Context(), here)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 4)
		for range 4 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				_, err := s.acquire(ctx, here)
				ended <- err
			}()
			synctest.Wait()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if _, waiting, _ := s.figures(); waiting != 0 || len(s.peers) != 0 || len(s.turns) != 0 {
			t.Error(waiting, s.peers, s.turns)
		}
		release()
		again, err := s.acquire(t.Context(), here)
		if err != nil {
			t.Fatal(err)
		}
		again()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.acquire(ctx, here); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// Whatever comes and goes: no slot is lost, none is given twice.
func TestNoSlotIsLostOrGivenTwice(t *testing.T) {
	s := newSlots(2, 20, 10)
	taken := make(chan struct{}, 2)
	done := make(chan bool)
	for i := range 50 {
		go func() {
			for n := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if n%3 == 0 {
					go cancel()
				}
				release, err := s.acquire(ctx, netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 7)}))
				if err == nil {
					select {
					case taken <- struct{}{}:
					default:
						t.Error("three have one of two slots")
					}
					<-taken
					release()
				}
				cancel()
			}
			done <- true
		}()
	}
	for range 50 {
		<-done
	}
	if running, waiting, _ := s.figures(); running != 0 || waiting != 0 || len(s.peers) != 0 || len(s.turns) != 0 {
		t.Errorf("left behind: %d running, %d waiting, %v", running, waiting, slices.Clone(s.turns))
	}
}
