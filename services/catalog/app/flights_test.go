package app

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestNoAnswerIsOlderThanItsQuestion(t *testing.T) {
	var f flights[int64]
	var value atomic.Int64
	read := func(ctx context.Context) (int64, error) {
		v := value.Load()
		time.Sleep(time.Duration(v%3) * 100 * time.Microsecond) // what was read may be old by now
		return v, ctx.Err()
	}
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 500 {
				asked := value.Add(1)
				got, err := f.do(t.Context(), "key", read)
				if err != nil || got < asked {
					t.Errorf("asked at %d, got %d (%v)", asked, got, err)
					return
				}
			}
		})
	}
	group.Wait()
	left := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.routes)
	}
	for end := time.Now().Add(5 * time.Second); left() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d routes are left", left())
		}
	}
}

func TestReadsThatComeTogetherShareOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[int]
		var reads atomic.Int32
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if _, err := f.do(t.Context(), "key", func(context.Context) (int, error) {
					time.Sleep(time.Millisecond)
					return int(reads.Add(1)), nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if n := reads.Load(); n > 2 {
			t.Errorf("%d reads for 100 that asked at once", n)
		}
	})
}

func TestOneWhoLeavesTakesNobodyElseAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[int]
		read := func(ctx context.Context) (int, error) {
			select {
			case <-time.After(time.Second):
				return 7, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		ask := func(ctx context.Context) chan error {
			answer := make(chan error, 1)
			go func() {
				_, err := f.do(ctx, "key", read)
				answer <- err
			}()
			synctest.Wait()
			return answer
		}
		impatient, leave := context.WithCancel(t.Context())
		first := ask(impatient)  // reads for itself
		second := ask(impatient) // begins the read that the third shares
		third := ask(t.Context())
		leave()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first: %v", err)
		}
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("the second: %v", err)
		}
		if err := <-third; err != nil {
			t.Errorf("the third: %v", err)
		}
	})
}

func TestAPanicInASharedReadIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[int]
		good := func(context.Context) (int, error) {
			time.Sleep(time.Second)
			return 1, nil
		}
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := f.do(t.Context(), "key", good); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 3 { // these share the next one, which has no request's handler around it
			group.Go(func() {
				if _, err := f.do(t.Context(), "key", func(context.Context) (int, error) { panic("oops") }); err == nil {
					t.Error("it passed for an answer")
				}
			})
		}
		group.Wait()
		func() {
			defer func() { _ = recover() }()
			_, _ = f.do(t.Context(), "key", func(context.Context) (int, error) { panic("oops") })
		}()
		if got, err := f.do(t.Context(), "key", good); got != 1 || err != nil {
			t.Errorf("afterwards: %d, %v", got, err)
		}
	})
}
