package app

import (
	"cmp"
	"slices"
	"strings"
)

// Item is one SKU with its stock at all locations, as a transaction works on it that nobody else is changing it with.
type Item struct {
	SKU       string
	Threshold int64 // the stock is low when no more than this is available
	Levels    []Level

	before    []Level // Levels as they were read
	threshold int64
}

// NewItem is an item as it was read. Stock is taken from locations in the order given, then from others by name.
func NewItem(sku string, threshold int64, levels []Level, locations []string) *Item {
	rank := func(l Level) int {
		if i := slices.Index(locations, l.Location); i >= 0 {
			return i
		}
		return len(locations)
	}
	slices.SortFunc(levels, func(a, b Level) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.Location, b.Location))
	})
	return &Item{SKU: sku, Threshold: threshold, Levels: levels, before: slices.Clone(levels), threshold: threshold}
}

// Available is the sum over all locations.
func (i *Item) Available() int64 { return available(i.Levels) }

func available(levels []Level) (sum int64) {
	for _, l := range levels {
		sum += l.Available
	}
	return sum
}

// take moves n pieces by the move given, from the first locations that have some, and says from where. It must have been
// seen that there are as many.
func (i *Item) take(n int64, move func(*Level, int64) error) (lines []Line, err error) {
	for at := range i.Levels {
		l := &i.Levels[at]
		part := min(n, l.Available)
		if part == 0 {
			continue
		}
		if err := move(l, part); err != nil {
			return nil, err
		}
		lines = append(lines, Line{SKU: i.SKU, Location: l.Location, Quantity: part})
		if n -= part; n == 0 {
			return lines, nil
		}
	}
	return nil, (&Level{Location: "all locations", Available: i.Available()}).errStock("take", n)
}

// at is the level of a location, nil if there is none.
func (i *Item) at(location string) *Level {
	for at := range i.Levels {
		if i.Levels[at].Location == location {
			return &i.Levels[at]
		}
	}
	return nil
}

// Adjust changes what is available at a location, which may be new to the SKU. It returns the level as it then is.
func (i *Item) Adjust(location string, delta int64) (Level, error) {
	l := i.at(location)
	if l == nil {
		l = &Level{Location: location}
		if err := l.Adjust(delta); err != nil {
			return Level{}, err
		}
		i.Levels = append(i.Levels, *l)
		return *l, nil
	}
	err := l.Adjust(delta)
	return *l, err
}

// Change is by how much a level differs from what was read.
type Change struct {
	SKU      string
	Delta    Level
	NewLevel bool // there was none at this location
}

// Changes lists the levels that differ.
func (i *Item) Changes() (changes []Change) {
	for at, l := range i.Levels {
		was := Level{Location: l.Location}
		known := at < len(i.before)
		if known {
			was = i.before[at]
		}
		if l != was {
			changes = append(changes, Change{SKU: i.SKU, NewLevel: !known, Delta: Level{
				Location: l.Location, Available: l.Available - was.Available, Reserved: l.Reserved - was.Reserved, Sold: l.Sold - was.Sold,
			}})
		}
	}
	return changes
}

// crossings are the events that tell of a limit that was crossed between what was read and what is now.
func (i *Item) crossings() (events []Event) {
	was, is := available(i.before), i.Available()
	if was > i.threshold && is <= i.Threshold {
		events = append(events, Event{Type: StockLow, Key: i.SKU, Data: LowData{SKU: i.SKU, Available: is, Threshold: i.Threshold}})
	}
	if (was > 0) != (is > 0) {
		events = append(events, Event{Type: AvailabilityChanged, Key: i.SKU, Data: AvailabilityData{SKU: i.SKU, InStock: is > 0, Available: is}})
	}
	return events
}
