package identity

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// keeper replaces one thing that runs out: at two thirds of its life, at once
// when woken, and again and again while that fails.
//
// vault/api's LifetimeWatcher is not used: it can't be told to look now, and it
// takes a revoked token for a Vault that is away until the token's time is up.
type keeper struct {
	kind, name string // what the log and the metrics call it
	vital      bool   // the service is not ready once it has run out
	gap        time.Duration
	renew      func(context.Context) (life time.Duration, err error)
	log        *slog.Logger
	wake       chan struct{}

	begun             time.Time     // when the thing held was got, and
	life              time.Duration // how long it lasts; both the loop's own
	expires           atomic.Int64  // Unix time in nanoseconds
	renewed, failures atomic.Uint64
	busy              atomic.Bool // a renewal is under way, or about to be
}

// newKeeper: however often it is woken, it renews once in a gap.
func (id *Identity) newKeeper(kind, name string, gap time.Duration, renew func(context.Context) (time.Duration, error)) *keeper {
	return &keeper{kind: kind, name: name, gap: gap, renew: renew, wake: make(chan struct{}, 1), log: id.log.With("kind", kind, "name", name)}
}

// expiry is when what it holds runs out, by the wall clock.
func (k *keeper) expiry() time.Time { return time.Unix(0, k.expires.Load()) }

// suspect asks for a renewal out of turn unless one is under way.
func (k *keeper) suspect() {
	if !k.busy.Load() {
		k.now()
	}
}

// now asks for a renewal, after the one that is under way if there is one. It
// doesn't wait for it.
func (k *keeper) now() {
	select {
	case k.wake <- struct{}{}:
	default: // one is due already
	}
}

// first renews until it succeeds or ctx ends.
func (k *keeper) first(ctx context.Context) error {
	if err := k.insist(ctx); err != nil {
		return fmt.Errorf("identity: no %s for %s: %w", k.kind, k.name, err)
	}
	return nil
}

// run keeps the thing alive until ctx ends.
func (k *keeper) run(ctx context.Context) {
	for k.sleep(ctx) == nil {
		_ = k.insist(ctx) // fails only when ctx has ended
	}
}

// sleep returns when a renewal is due: a little to either side of two thirds, so
// that instances started together don't come together.
func (k *keeper) sleep(ctx context.Context) error {
	due := time.Duration(float64(k.life) * (0.64 + 0.05*rand.Float64()))
	for {
		timer := time.NewTimer(min(due-k.age(), 30*time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
			if k.age() < due {
				continue
			}
			return nil
		case <-k.wake:
			timer.Stop()
			// Whoever asked until now is served by the renewal that follows.
			k.busy.Store(true)
			select {
			case <-k.wake:
			default:
			}
			return pause(ctx, k.gap-k.age())
		}
	}
}

// age is the larger of what two clocks say: timers stand still while a machine
// is suspended, and the wall clock may be set back.
func (k *keeper) age() time.Duration {
	now := time.Now()
	return max(now.Sub(k.begun), now.Round(0).Sub(k.begun.Round(0)))
}

// insist renews until it succeeds or ctx ends, saying why it waits: at first,
// when the reason changes, and once a minute.
func (k *keeper) insist(ctx context.Context) error {
	k.busy.Store(true)
	defer k.busy.Store(false)
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	var said string
	var saidAt time.Time
	for attempt := 1; ; attempt++ {
		life, err := k.renew(ctx)
		if err == nil {
			k.holds(life)
			if said != "" {
				k.log.Info("got the "+k.kind+" after all", "attempts", attempt)
			}
			return nil
		}
		if ctx.Err() != nil {
			if said != "" { // the reason is worth more than that time was up
				err = explained{said, ctx.Err()}
			}
			return err
		}
		k.failures.Add(1)
		if err.Error() != said || time.Since(saidAt) > time.Minute {
			said, saidAt = err.Error(), time.Now()
			k.log.Warn("can't get the "+k.kind+", trying on", "reason", said, "attempt", attempt, "holds_until", k.until())
		}
		if err := k.pauseOrWake(ctx, wait.NextBackOff()); err != nil {
			return explained{said, err}
		}
	}
}

func (k *keeper) holds(life time.Duration) {
	k.begun, k.life = time.Now(), life
	k.expires.Store(k.begun.Add(life).UnixNano())
	k.renewed.Add(1)
}

func (k *keeper) until() string {
	if k.expires.Load() == 0 {
		return "nothing held"
	}
	return k.expiry().UTC().Format(time.RFC3339)
}

func (k *keeper) pauseOrWake(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-k.wake:
		return nil
	case <-timer.C:
		return nil
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
