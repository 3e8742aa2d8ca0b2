package app

import (
	"sync"

	"github.com/google/uuid"
)

// hub wakes requests of this instance that wait for a change of an intent.
type hub struct {
	mu      sync.Mutex
	waiting map[uuid.UUID]map[chan struct{}]struct{}
}

// listen gives a channel that is sent to after each change, until stop.
func (h *hub) listen(intent uuid.UUID) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		h.waiting = map[uuid.UUID]map[chan struct{}]struct{}{}
	}
	if h.waiting[intent] == nil {
		h.waiting[intent] = map[chan struct{}]struct{}{}
	}
	h.waiting[intent][ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiting[intent], ch)
		if len(h.waiting[intent]) == 0 {
			delete(h.waiting, intent)
		}
	}
}

// changed wakes who waits for one of the intents.
func (h *hub) changed(s *Set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) == 0 {
		return
	}
	for _, i := range s.Intents {
		for ch := range h.waiting[i.ID] {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
}
