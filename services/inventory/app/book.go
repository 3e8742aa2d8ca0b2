package app

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Book is what one transaction works on: the items and reservations that its commands are about, which the store has
// locked. Decisions change it and add events; the store writes back what has changed.
type Book struct {
	items        map[string]*Item
	reservations map[uuid.UUID]*Reservation
	events       []Event
	now          time.Time
}

// NewBook opens a book on what the database has. now decides whether a command comes after its own expiry.
func NewBook(items []*Item, reservations []*Reservation, now time.Time) *Book {
	b := &Book{items: make(map[string]*Item, len(items)), reservations: make(map[uuid.UUID]*Reservation, len(reservations)), now: now}
	for _, i := range items {
		b.items[i.SKU] = i
	}
	for _, r := range reservations {
		b.reservations[r.OrderID] = r
	}
	return b
}

// Decide answers each command, in their order. An error means that stock and reservations contradict each other, and
// that nothing of the book may be written.
func (b *Book) Decide(commands ...Command) error {
	for _, c := range commands {
		e, err := b.decide(c)
		if err != nil {
			return err
		}
		e.Key, e.Traceparent = c.OrderID.String(), c.Traceparent
		b.events = append(b.events, e)
	}
	return nil
}

func (b *Book) decide(c Command) (Event, error) {
	r := b.reservations[c.OrderID]
	switch c.Type {
	case Reserve:
		return b.reserve(c, r)
	case Commit:
		return b.commit(c, r)
	case Release:
		return b.release(c, r)
	}
	return b.expire(r)
}

// Item of a SKU, or ErrUnknownSKU.
func (b *Book) Item(sku string) (*Item, error) {
	if i := b.items[sku]; i != nil {
		return i, nil
	}
	return nil, ErrUnknownSKU
}

// Changes of stock, by SKU.
func (b *Book) Changes() (changes []Change) {
	for _, i := range b.inOrder() {
		changes = append(changes, i.Changes()...)
	}
	return changes
}

// Reservations that are new or in another state than the database has.
func (b *Book) Reservations() (changed []*Reservation) {
	for _, r := range b.reservations {
		if r.State != r.was {
			changed = append(changed, r)
		}
	}
	slices.SortFunc(changed, func(a, b *Reservation) int { return slices.Compare(a.OrderID[:], b.OrderID[:]) })
	return changed
}

// Events are the answers to the commands, then what is to be said of the stock as the transaction leaves it: a limit that
// was crossed there and back again is not told.
func (b *Book) Events() []Event {
	events := slices.Clip(b.events)
	for _, i := range b.inOrder() {
		events = append(events, i.crossings()...)
	}
	return events
}

func (b *Book) inOrder() []*Item {
	items := make([]*Item, 0, len(b.items))
	for _, sku := range slices.Sorted(maps.Keys(b.items)) {
		items = append(items, b.items[sku])
	}
	return items
}

// add puts a new reservation into the book.
func (b *Book) add(r *Reservation) *Reservation {
	b.reservations[r.OrderID] = r
	return r
}
