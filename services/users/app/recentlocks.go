package app

import (
	"crypto/sha256"
	"sync"
	"time"
)

// recentLocks bounds what a lockMemory keeps.
const recentLocks = 8192

// lockMemory knows the locks that the store told of a moment ago, so that a flood of guesses is turned away without
// asking it for each. It is one instance's own.
type lockMemory struct {
	life  time.Duration
	mu    sync.Mutex
	locks map[lockKey]rememberedLock
}

type lockKey struct {
	login [sha256.Size]byte
	from  string
}

type rememberedLock struct{ asked, until time.Time }

func lockKeyOf(a Attempt) (key lockKey) {
	copy(key.login[:], a.Login)
	key.from = a.From.String()
	return key
}

// remaining of the attempt's lock, if the store told of it a moment ago; zero else.
func (m *lockMemory) remaining(a Attempt, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.locks[lockKeyOf(a)]
	if !ok || now.Sub(l.asked) >= m.life {
		return 0
	}
	return max(0, l.until.Sub(now))
}

// keep is for what the store has just told.
func (m *lockMemory) keep(a Attempt, now time.Time, remaining time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks == nil || len(m.locks) >= recentLocks { // they are short-lived: a new start costs a question each
		m.locks = map[lockKey]rememberedLock{}
	}
	m.locks[lockKeyOf(a)] = rememberedLock{asked: now, until: now.Add(remaining)}
}

// forget the locks of an account, from wherever, as they have ended.
func (m *lockMemory) forget(login []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.locks {
		if string(key.login[:]) == string(login) {
			delete(m.locks, key)
		}
	}
}
