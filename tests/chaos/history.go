// Package chaos kills parts of a running Souk with SIGKILL while a thousand buyers want a hundred pieces, and then looks
// into every store: nothing may be sold twice, charged twice, lost or left open.
//
// The files without _test are the parts that need no servers: what the buyers saw (history.go), when what is killed
// (schedule.go), and what must hold afterwards (check.go), each tested with cases that it must refuse.
package chaos

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// outcome is what the caller knows after a call.
type outcome string

// The outcomes. Unknown: no answer, or one that does not say whether the call had its effect (5xx).
const (
	ok      outcome = "ok"
	refused outcome = "refused"
	unknown outcome = "unknown"
)

// outcomeOf tells what an answer with a status means; 0: there was no answer. 409 idempotency-in-flight and 429 ask for
// another attempt, so they say nothing yet.
func outcomeOf(status int, problem string) outcome {
	switch {
	case status >= 200 && status < 300:
		return ok
	case status == 0, status >= 500, status == 429, status == 409 && problem == inProgress, status == 401:
		return unknown
	}
	return refused
}

// inProgress is the problem of a request whose Idempotency-Key is being worked on.
const inProgress = "idempotency-in-flight"

// call is one attempt to place an order. Attempts of one purchase have the same key and the same cart.
type call struct {
	Buyer   int           `json:"buyer"`
	User    uuid.UUID     `json:"user"`
	Key     string        `json:"key"`
	Cart    uuid.UUID     `json:"cart"`
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took"`
	Status  int           `json:"status"`
	Problem string        `json:"problem,omitempty"`
	Order   uuid.UUID     `json:"order,omitzero"`
	Outcome outcome       `json:"outcome"`
}

// history is what all buyers saw. It may be added to from anywhere.
type history struct {
	mu    sync.Mutex
	calls []call
}

func (h *history) add(c call) {
	c.Outcome = outcomeOf(c.Status, c.Problem)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
}

// purchase is all that a buyer was told about one key.
type purchase struct {
	user   uuid.UUID
	key    string
	cart   uuid.UUID
	orders map[uuid.UUID]bool // that were acknowledged: one at most, if all is well
	last   call
	tries  int
}

// purchases groups the calls by key, in the order of the first attempts.
func (h *history) purchases() []*purchase {
	h.mu.Lock()
	defer h.mu.Unlock()
	byKey := map[string]*purchase{}
	var all []*purchase
	for _, c := range h.calls {
		p := byKey[c.Key]
		if p == nil {
			p = &purchase{user: c.User, key: c.Key, cart: c.Cart, orders: map[uuid.UUID]bool{}}
			byKey[c.Key] = p
			all = append(all, p)
		}
		if c.Outcome == ok {
			p.orders[c.Order] = true
		}
		p.last = c
		p.tries++
	}
	return all
}

// count is how many calls had an outcome.
func (h *history) count(o outcome) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.calls {
		if c.Outcome == o {
			n++
		}
	}
	return n
}
