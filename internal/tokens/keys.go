package tokens

import (
	"context"
	"crypto/ecdsa"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"golang.org/x/time/rate"
)

const (
	refreshEvery = 30 * time.Second
	refetchEvery = 10 * time.Second // for kids that nobody knows, whoever names them
	fetchLimit   = 5 * time.Second
	patience     = 2 * time.Second // of a request that waits for a fetch
	maxWaiting   = 32              // such requests; more are told to come again
	staleAfter   = 3 * refreshEvery
)

// keptKey is a key with the time when users last published it.
type keptKey struct {
	JWK    jwk       `json:"jwk"`
	Seen   time.Time `json:"seen"`
	public *ecdsa.PublicKey
}

// keySet is never changed: another one replaces it.
type keySet struct {
	Fetched time.Time          `json:"fetched"`
	Keys    map[string]keptKey `json:"keys"` // by kid
}

// keys follows the issuer's published keys.
type keys struct {
	source Source
	log    *slog.Logger
	file   stateFile
	set    atomic.Pointer[keySet]
	done   func(error) // is told of each fetch

	background context.Context // ends what fetches
	refetches  *rate.Limiter

	mu      sync.Mutex
	flight  chan struct{} // closed when the fetch under way has ended; nil: none is
	failing bool
	waiting int
}

func newKeys(ctx context.Context, opts Options, done func(error)) *keys {
	k := &keys{
		source: opts.Source, log: opts.Log, file: stateIn(opts.StateDir, "token-keys.json"), done: done,
		background: ctx, refetches: rate.NewLimiter(rate.Every(refetchEvery), 1),
	}
	kept := keySet{}
	if err := k.file.load(&kept); err != nil {
		k.log.Error("the keys kept from before can't be read", "error", err)
		kept = keySet{}
	}
	for id, key := range kept.Keys {
		public, err := key.JWK.public()
		if err != nil || key.JWK.ID != id {
			delete(kept.Keys, id)
			continue
		}
		key.public = public
		kept.Keys[id] = key
	}
	k.set.Store(&kept)
	return k
}

// follow refreshes the keys after the first fetch until background ends. Instances of a
// service do it at different times.
func (k *keys) follow(flight <-chan struct{}) {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond),
		backoff.WithMaxInterval(3*time.Second), backoff.WithMaxElapsedTime(0))
	for ; ; flight = k.refresh() {
		<-flight // at the latest with background
		wait := refreshEvery - time.Duration(rand.Int64N(int64(refreshEvery/10)))
		if k.lastFailed() {
			wait = pause.NextBackOff()
		} else {
			pause.Reset()
		}
		select {
		case <-k.background.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (k *keys) lastFailed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failing
}

// find returns the key of that name. One that is not known is asked for, but together with
// all others, seldom, and not for long, since anybody can make up names.
func (k *keys) find(ctx context.Context, kid string) (*ecdsa.PublicKey, error) {
	if key, known := k.set.Load().Keys[kid]; known {
		return key.public, nil
	}
	k.refetch(ctx)
	set := k.set.Load()
	if key, known := set.Keys[kid]; known {
		return key.public, nil
	}
	if time.Since(set.Fetched) > staleAfter { // it may be a new one
		return nil, &refused{noKeys, "users has not been asked for long"}
	}
	return nil, &refused{badKey, "users does not publish it"}
}

func (k *keys) refetch(ctx context.Context) {
	k.mu.Lock()
	if k.flight == nil && (k.background.Err() != nil || !k.refetches.Allow()) || k.waiting >= maxWaiting {
		k.mu.Unlock()
		return
	}
	flight := k.begin()
	k.waiting++
	k.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-flight:
	case <-ctx.Done():
	case <-timer.C:
	}
	k.mu.Lock()
	k.waiting--
	k.mu.Unlock()
}

// refresh fetches the keys now, or joins who does.
func (k *keys) refresh() (ended <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.begin()
}

// begin starts a fetch, or joins the one under way. The caller holds mu.
func (k *keys) begin() (ended <-chan struct{}) {
	if k.flight != nil {
		return k.flight
	}
	flight := make(chan struct{})
	k.flight = flight
	go func() {
		err := k.fetch()
		k.mu.Lock()
		k.flight = nil
		k.note(err)
		k.mu.Unlock()
		close(flight)
	}()
	return flight
}

func (k *keys) fetch() error {
	ctx, cancel := context.WithTimeout(k.background, fetchLimit)
	defer cancel()
	raw, err := k.source.JWKS(ctx)
	if err != nil {
		return err
	}
	published, err := parseJWKS(raw)
	if err != nil {
		return err
	}
	now := time.Now()
	next := &keySet{Fetched: now, Keys: map[string]keptKey{}}
	old := k.set.Load()
	for id, key := range old.Keys {
		// Its last token may be a whole life from its end.
		if now.Sub(key.Seen) <= Life+Leeway {
			next.Keys[id] = key
		}
	}
	for id, key := range published {
		public, err := key.public()
		if err != nil {
			return err
		}
		next.Keys[id] = keptKey{JWK: key, Seen: now, public: public}
	}
	if err := k.file.store(next); err != nil {
		k.log.Error("the keys could not be kept for a start without users", "error", err)
	}
	k.set.Store(next)
	if before, after := slices.Sorted(maps.Keys(old.Keys)), slices.Sorted(maps.Keys(next.Keys)); !slices.Equal(before, after) {
		k.log.Info("keys changed", "keys", after, "before", before)
	}
	return nil
}

// note tells of the first failure and of its end. The caller holds mu.
func (k *keys) note(err error) {
	if k.background.Err() != nil {
		return
	}
	k.done(err)
	switch {
	case err != nil && !k.failing:
		k.log.Warn("keys can't be fetched, the known ones serve", "keys", len(k.set.Load().Keys), "error", err)
	case err == nil && k.failing:
		k.log.Info("keys can be fetched again")
	}
	k.failing = err != nil
}

// any tells whether a token can be verified at all.
func (k *keys) any() bool { return len(k.set.Load().Keys) > 0 }

func (k *keys) fetched() time.Time { return k.set.Load().Fetched }
