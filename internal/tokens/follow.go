package tokens

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/time/rate"
)

const (
	pollLimit    = 30 * time.Second       // users answers within 20
	pollEvery    = 200 * time.Millisecond // at most, while there is news without end
	wholeEvery   = 5 * time.Minute        // everything again: a database restored from a backup counts anew
	longestPause = 2 * time.Second        // after failures
)

// follower keeps revoked up to date.
type follower struct {
	source  Source
	log     *slog.Logger
	file    stateFile
	revoked *revoked
	done    func(error) // is told of each poll

	cursor   string
	whole    time.Time    // when everything was asked for
	answered atomic.Int64 // Unix nanoseconds of the last answer; 0: none in this process
	failing  bool
}

func newFollower(opts Options, r *revoked, done func(error)) *follower {
	f := &follower{source: opts.Source, log: opts.Log, file: stateIn(opts.StateDir, "token-revocations.json"), revoked: r, done: done}
	var kept Feed
	if err := f.file.load(&kept); err != nil {
		f.log.Error("the revocations kept from before can't be read", "error", err)
		return f
	}
	r.take(kept.Revocations, time.Now())
	return f
}

// run follows until ctx ends. It begins with everything, as an entry may have been lost
// between an answer and the disk.
func (f *follower) run(ctx context.Context) {
	limit := rate.NewLimiter(rate.Every(pollEvery), 2)
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(longestPause), backoff.WithMaxElapsedTime(0))
	for limit.Wait(ctx) == nil {
		err := f.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		f.note(err)
		if err == nil {
			pause.Reset()
			continue
		}
		// Whoever answers next may not know this cursor.
		f.cursor = ""
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause.NextBackOff()):
		}
	}
}

func (f *follower) poll(ctx context.Context) error {
	if time.Since(f.whole) > wholeEvery {
		f.cursor = ""
	}
	whole := f.cursor == ""
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, pollLimit)
	defer cancel()
	feed, err := f.source.Revocations(ctx, f.cursor)
	if err != nil {
		return err
	}
	now := time.Now()
	fresh := f.revoked.take(feed.Revocations, now)
	dropped := f.revoked.forget(now)
	f.cursor = feed.Cursor
	f.answered.Store(now.UnixNano())
	if whole {
		f.whole = began
	}
	if fresh+dropped == 0 {
		return nil
	}
	if fresh > 0 {
		f.log.Info("tokens were revoked", "entries", fresh)
	}
	if err := f.file.store(Feed{Cursor: f.cursor, Revocations: f.revoked.list()}); err != nil {
		f.log.Error("the revocations could not be kept for a start without users", "error", err)
	}
	return nil
}

// note tells of the first failure and of its end.
func (f *follower) note(err error) {
	f.done(err)
	switch {
	case err != nil && !f.failing:
		f.log.Warn("revocations can't be followed, the known ones count", "entries", f.revoked.len(), "error", err)
	case err == nil && f.failing:
		f.log.Info("revocations can be followed again")
	}
	f.failing = err != nil
}

// lastAnswer is the zero time if there was none in this process.
func (f *follower) lastAnswer() time.Time {
	if n := f.answered.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}
