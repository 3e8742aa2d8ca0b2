package app

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"
)

// Whatever is asked, in whatever order: no piece appears or is lost, and the reservations hold what the stock says.
func TestAvailableReservedAndSoldAddUpToWhatCameIn(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 6)) //nolint:gosec // to be repeated
		locations := []string{"main", "shop"}
		skus := []string{"A", "B", "C"}
		var items []*Item
		adjusted := map[string]int64{}
		for _, sku := range skus {
			items = append(items, NewItem(sku, 5, nil, locations))
		}
		var orders []uuid.UUID
		for range 12 {
			orders = append(orders, uuid.New())
		}
		var reservations []*Reservation
		for range 40 {
			b := NewBook(items, reservations, now)
			for range random.IntN(6) {
				c := Command{OrderID: orders[random.IntN(len(orders))]}
				switch random.IntN(5) {
				case 0, 1:
					var lines []Line
					for range 1 + random.IntN(3) {
						lines = append(lines, Line{SKU: skus[random.IntN(3)], Quantity: 1 + random.Int64N(4)})
					}
					c = reserve(t, c.OrderID, lines...)
					if random.IntN(5) == 0 {
						c.ExpiresAt = now
					}
				case 2:
					c.Type = Commit
				case 3:
					c.Type = Release
				default:
					if r := b.reservations[c.OrderID]; r == nil || r.State != Reserved {
						continue
					}
					c = NewExpire(c.OrderID)
				}
				if err := b.Decide(c); err != nil {
					t.Fatalf("seed %d: %+v: %v", seed, c, err)
				}
			}
			item, delta := items[random.IntN(3)], random.Int64N(20)-8
			if _, err := item.Adjust(locations[random.IntN(2)], delta); err == nil {
				adjusted[item.SKU] += delta
			}
			reservations = slices.Collect(maps.Values(b.reservations))
			for _, r := range reservations {
				r.Read()
			}
			check(t, seed, items, reservations, adjusted)
			for i, it := range items { // as the next transaction reads it
				items[i] = NewItem(it.SKU, it.Threshold, it.Levels, locations)
			}
		}
	}
}

func check(t *testing.T, seed uint64, items []*Item, reservations []*Reservation, adjusted map[string]int64) {
	t.Helper()
	held := map[State]map[Line]int64{Reserved: {}, Committed: {}}
	for _, r := range reservations {
		for _, l := range r.Lines {
			if sums := held[r.State]; sums != nil {
				sums[Line{SKU: l.SKU, Location: l.Location}] += l.Quantity
			}
		}
	}
	for _, i := range items {
		sum := int64(0)
		for _, l := range i.Levels {
			at := Line{SKU: i.SKU, Location: l.Location}
			if l.Available < 0 || l.Reserved != held[Reserved][at] || l.Sold != held[Committed][at] {
				t.Fatalf("seed %d: %s is %+v, and reservations hold %d, %d", seed, i.SKU, l, held[Reserved][at], held[Committed][at])
			}
			sum += l.Available + l.Reserved + l.Sold
		}
		if sum != adjusted[i.SKU] {
			t.Fatalf("seed %d: %s: %d came in and %d are there", seed, i.SKU, adjusted[i.SKU], sum)
		}
	}
}
