package app

import (
	"errors"
	"testing"
	"time"
)

func TestRetriesWaitTwiceAsLongUpToALimit(t *testing.T) {
	s := Settings{First: time.Second, Longest: 10 * time.Second}
	for attempts, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 3: 8 * time.Second, 4: 10 * time.Second, 100: 10 * time.Second, 1 << 30: 10 * time.Second} {
		for range 100 {
			if got := s.after(attempts); got < want*4/5 || got > want*6/5 {
				t.Fatalf("after %d attempts: %s, want about %s", attempts, got, want)
			}
		}
	}
	long := Settings{First: time.Hour, Longest: 6 * time.Hour}
	for attempts := range 70 {
		if got := long.after(attempts); got < 48*time.Minute || got > 432*time.Minute {
			t.Errorf("after %d attempts: %s", attempts, got)
		}
	}
}

func TestACircuitOpensOnTroubleOfTheServerAlone(t *testing.T) {
	changes := 0
	c := newCircuit("test", time.Hour, func(string, bool) { changes++ })
	fail := func(err error) { _ = c.do(func() error { return err }) }
	for range 10 {
		fail(&Failure{Reason: "of this mail"})
		fail(errors.New("of ours"))
		fail(ErrGone)
	}
	if c.open() || changes != 0 {
		t.Fatal("it is open for what is no trouble of the server")
	}
	for range openAfter {
		fail(&Failure{Reason: "of the server", Down: true})
	}
	if !c.open() || changes != 1 {
		t.Fatal("it is not open")
	}
	asked := false
	if err := c.do(func() error { asked = true; return nil }); asked || !errors.Is(err, errOpen) {
		t.Errorf("it was asked: %v", err)
	}
}
