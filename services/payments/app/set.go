package app

import (
	"time"

	"github.com/google/uuid"
)

// Selection names the intents and refunds of a change: those of orders, those by id, and refunds by id.
type Selection struct {
	Orders, Intents, Refunds []uuid.UUID
}

// Set is what one transaction has locked: it is changed by moves, and stored with their effects.
type Set struct {
	Now     time.Time
	Intents []*Intent // also those that the moves make
	Refunds map[uuid.UUID]*Refund

	byID, byOrder map[uuid.UUID]*Intent
}

// NewSet is a set of what a store has found.
func NewSet(now time.Time, intents []*Intent, refunds []*Refund) *Set {
	s := &Set{Now: now, Refunds: make(map[uuid.UUID]*Refund, len(refunds)), byID: make(map[uuid.UUID]*Intent, len(intents)), byOrder: map[uuid.UUID]*Intent{}}
	for _, i := range intents {
		s.Add(i)
	}
	for _, r := range refunds {
		s.Refunds[r.ID] = r
	}
	return s
}

// Add has a new intent stored with the set.
func (s *Set) Add(i *Intent) {
	s.Intents = append(s.Intents, i)
	s.byID[i.ID] = i
	if i.OrderID != uuid.Nil {
		s.byOrder[i.OrderID] = i
	}
}

// Intent by id, nil if there is none.
func (s *Set) Intent(id uuid.UUID) *Intent { return s.byID[id] }

// Settle applies outcomes in their order.
func (s *Set) Settle(outcomes []Settlement) {
	for _, o := range outcomes {
		if i := s.byID[o.IntentID]; i != nil {
			i.settle(o, s.Refunds[o.RefundID], s.Now)
		}
	}
}

// Operations that the moves have begun.
func (s *Set) Operations() (started []Operation) {
	for _, i := range s.Intents {
		started = append(started, i.Start...)
	}
	return started
}
