package tokens

import (
	"slices"
	"sync"
	"time"
)

// about is what a revocation names.
type about struct{ kind, id string }

// revoked is what has been revoked and could still be shown to us.
type revoked struct {
	mu      sync.RWMutex
	entries map[about]Revocation
}

// covers tells whether the token was revoked.
func (r *revoked) covers(p *Principal) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.entries) == 0 {
		return false
	}
	if p.session != "" {
		if _, gone := r.entries[about{KindSession, p.session}]; gone {
			return true
		}
	}
	if _, gone := r.entries[about{KindToken, p.TokenID}]; gone {
		return true
	}
	subject, gone := r.entries[about{KindSubject, p.Subject}]
	return gone && (subject.Before.IsZero() || p.IssuedAt.Before(subject.Before))
}

// take adds entries and returns how many of them say something new. The wider of two about
// the same thing counts.
func (r *revoked) take(list []Revocation, now time.Time) (fresh int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range list {
		if e.Expires.IsZero() {
			e.Expires = now.Add(Life)
		}
		if now.After(e.Expires.Add(Leeway)) {
			continue
		}
		key := about{e.Kind, e.ID}
		if old, known := r.entries[key]; known {
			if old.Before.IsZero() || !e.Before.IsZero() && old.Before.After(e.Before) {
				e.Before = old.Before
			}
			if old.Expires.After(e.Expires) {
				e.Expires = old.Expires
			}
			if e == old {
				continue
			}
		}
		r.entries[key] = e
		fresh++
	}
	return fresh
}

// forget drops what is about expired tokens only, and returns how many entries that were.
func (r *revoked) forget(now time.Time) (dropped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, e := range r.entries {
		if now.After(e.Expires.Add(Leeway)) {
			delete(r.entries, key)
			dropped++
		}
	}
	return dropped
}

func (r *revoked) list() []Revocation {
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := make([]Revocation, 0, len(r.entries))
	for _, e := range r.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Revocation) int { return a.Expires.Compare(b.Expires) })
	return list
}

func (r *revoked) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.entries)
}
