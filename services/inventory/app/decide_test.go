package app

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

var (
	now   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	later = now.Add(15 * time.Minute)
	order = uuid.MustParse("0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55")
)

// shelf is a SKU with this much available at "main".
func shelf(sku string, available int64) *Item {
	return NewItem(sku, 5, []Level{{Location: "main", Available: available}}, []string{"main"})
}

func reserve(t *testing.T, id uuid.UUID, lines ...Line) Command {
	t.Helper()
	c, err := NewReserve(id, later, lines)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func decide(t *testing.T, b *Book, commands ...Command) (answers []Event) {
	t.Helper()
	before := len(b.events)
	if err := b.Decide(commands...); err != nil {
		t.Fatal(err)
	}
	return b.events[before:]
}

func commit() Command { return Command{Type: Commit, OrderID: order} }

func release() Command { return Command{Type: Release, OrderID: order, Reason: "cancelled"} }

func TestEveryCommandHasAnAnswerInEveryState(t *testing.T) {
	const n = 3
	take := func(t *testing.T) Command { return reserve(t, order, Line{SKU: "A", Quantity: n}) }
	late := func(t *testing.T) Command {
		c := take(t)
		c.ExpiresAt = now
		return c
	}
	always := func(c Command) func(*testing.T) Command { return func(*testing.T) Command { return c } }
	type want struct {
		answer EventType
		reason string
		state  State
		level  Level // of 10
	}
	free, held, sold := Level{"main", 10, 0, 0}, Level{"main", 10 - n, n, 0}, Level{"main", 10 - n, 0, n}
	for name, x := range map[string]struct {
		commands []func(*testing.T) Command // the last one's answer is looked at
		want
	}{
		"reserve":                           {[]func(*testing.T) Command{take}, want{ReservationReserved, "", Reserved, held}},
		"reserve twice":                     {[]func(*testing.T) Command{take, take}, want{ReservationReserved, "", Reserved, held}},
		"reserve after its time":            {[]func(*testing.T) Command{late}, want{ReservationExpired, "", Expired, free}},
		"commit":                            {[]func(*testing.T) Command{take, always(commit())}, want{ReservationCommitted, "", Committed, sold}},
		"commit twice":                      {[]func(*testing.T) Command{take, always(commit()), always(commit())}, want{ReservationCommitted, "", Committed, sold}},
		"commit, then reserve again":        {[]func(*testing.T) Command{take, always(commit()), take}, want{ReservationCommitted, "", Committed, sold}},
		"commit of nothing":                 {[]func(*testing.T) Command{always(commit())}, want{ReservationCommitFailed, Unknown, "", free}},
		"commit before reserve":             {[]func(*testing.T) Command{always(commit()), take}, want{ReservationReserved, "", Reserved, held}},
		"commit of what has expired":        {[]func(*testing.T) Command{late, always(commit())}, want{ReservationCommitted, "", Committed, sold}},
		"commit after expiry":               {[]func(*testing.T) Command{take, always(NewExpire(order)), always(commit())}, want{ReservationCommitted, "", Committed, sold}},
		"commit after release":              {[]func(*testing.T) Command{take, always(release()), always(commit())}, want{ReservationCommitFailed, WasReleased, Released, free}},
		"release":                           {[]func(*testing.T) Command{take, always(release())}, want{ReservationReleased, "cancelled", Released, free}},
		"release twice":                     {[]func(*testing.T) Command{take, always(release()), always(release())}, want{ReservationReleased, "cancelled", Released, free}},
		"release before reserve":            {[]func(*testing.T) Command{always(release())}, want{ReservationReleased, "cancelled", Released, free}},
		"release, then the reserve":         {[]func(*testing.T) Command{always(release()), take}, want{ReservationRejected, WasReleased, Released, free}},
		"release of what was sold":          {[]func(*testing.T) Command{take, always(commit()), always(release())}, want{ReservationReleased, "cancelled", Released, free}},
		"release of what was sold, twice":   {[]func(*testing.T) Command{take, always(commit()), always(release()), always(release())}, want{ReservationReleased, "cancelled", Released, free}},
		"commit of what was sold, released": {[]func(*testing.T) Command{take, always(commit()), always(release()), always(commit())}, want{ReservationCommitFailed, WasReleased, Released, free}},
		"expiry":                            {[]func(*testing.T) Command{take, always(NewExpire(order))}, want{ReservationExpired, "", Expired, free}},
		"release after expiry":              {[]func(*testing.T) Command{take, always(NewExpire(order)), always(release())}, want{ReservationReleased, "cancelled", Released, free}},
		"commit after expiry and release":   {[]func(*testing.T) Command{take, always(NewExpire(order)), always(release()), always(commit())}, want{ReservationCommitFailed, WasReleased, Released, free}},
		"reserve after expiry":              {[]func(*testing.T) Command{take, always(NewExpire(order)), take}, want{ReservationExpired, "", Expired, free}},
	} {
		t.Run(name, func(t *testing.T) {
			item := shelf("A", 10)
			b := NewBook([]*Item{item}, nil, now)
			var answer Event
			for _, c := range x.commands {
				answer = decide(t, b, c(t))[0]
			}
			got := want{answer: answer.Type, level: item.Levels[0]}
			if r := b.reservations[order]; r != nil {
				got.state = r.State
			}
			switch data := answer.Data.(type) {
			case RejectedData:
				got.reason = data.Reason
			case ReasonData:
				got.reason = data.Reason
			case ReleasedData:
				got.reason = data.Reason
			}
			if got != x.want || answer.Key != order.String() {
				t.Errorf("got %+v, want %+v", got, x.want)
			}
		})
	}
}

func TestAnOrderIsReservedWholeOrNotAtAll(t *testing.T) {
	a, b := shelf("A", 10), shelf("B", 1)
	book := NewBook([]*Item{a, b}, nil, now)
	want := RejectedData{OrderID: order, Reason: InsufficientStock, Shortages: []Shortage{{SKU: "B", Requested: 2, Available: 1}}}
	for range 2 { // asked again it is the same, though B has come in meanwhile
		got := decide(t, book, reserve(t, order, Line{SKU: "B", Quantity: 2}, Line{SKU: "A", Quantity: 1}))
		if !reflect.DeepEqual(got[0].Data, want) || a.Available() != 10 || b.Available() != 1 && b.Available() != 6 {
			t.Errorf("got %+v; A %+v, B %+v", got[0].Data, a.Levels, b.Levels)
		}
		if b.Available() == 1 {
			if _, err := b.Adjust("main", 5); err != nil {
				t.Fatal(err)
			}
		}
	}
	other := uuid.New()
	got := decide(t, book, reserve(t, other, Line{SKU: "Z", Quantity: 2}, Line{SKU: "A", Quantity: 11}))
	if !reflect.DeepEqual(got[0].Data, RejectedData{OrderID: other, Reason: UnknownSKU, Shortages: []Shortage{{SKU: "Z", Requested: 2}}}) {
		t.Errorf("got %+v", got[0].Data)
	}
	if got := decide(t, book, Command{Type: Release, OrderID: other})[0]; got.Type != ReservationReleased || book.reservations[other].State != Rejected {
		t.Errorf("releasing what was rejected: %+v", got)
	}
}

func TestStockIsTakenFromTheFirstLocationsThatHaveIt(t *testing.T) {
	item := NewItem("A", 0, []Level{{Location: "attic", Available: 9}, {Location: "closed", Available: 9}, {Location: "main", Available: 2}, {Location: "shop", Available: 3}}, []string{"shop", "main", "attic"})
	b := NewBook([]*Item{item}, nil, now)
	decide(t, b, reserve(t, order, Line{SKU: "A", Quantity: 7}))
	want := []Line{{"A", "shop", 3}, {"A", "main", 2}, {"A", "attic", 2}}
	if got := b.reservations[order].Lines; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	decide(t, b, commit())
	if item.at("shop").Sold != 3 || item.at("main").Sold != 2 || item.at("attic").Sold != 2 || item.Available() != 16 {
		t.Errorf("sold: %+v", item.Levels)
	}
	decide(t, b, release())
	if !slices.Equal(item.Levels, item.before) {
		t.Errorf("it did not go back to where it came from: %+v", item.Levels)
	}
}

// What expired may have gone to others meanwhile, and is then not sold twice.
func TestAnExpiredReservationIsCommittedOnlyFromStockThatIsLeft(t *testing.T) {
	item := NewItem("A", 0, []Level{{Location: "main", Available: 3}, {Location: "shop", Available: 3}}, []string{"main"})
	b := NewBook([]*Item{item}, nil, now)
	rival := uuid.New()
	decide(t, b, reserve(t, order, Line{SKU: "A", Quantity: 3}), NewExpire(order), reserve(t, rival, Line{SKU: "A", Quantity: 4}))
	if got := decide(t, b, commit())[0]; got.Type != ReservationCommitFailed || got.Data.(ReasonData).Reason != HasExpired {
		t.Errorf("got %+v", got)
	}
	decide(t, b, Command{Type: Release, OrderID: rival})
	if _, err := item.Adjust("main", -2); err != nil {
		t.Fatal(err)
	}
	if got := decide(t, b, commit())[0]; got.Type != ReservationCommitted || !slices.Equal(b.reservations[order].Lines, []Line{{"A", "main", 1}, {"A", "shop", 2}}) {
		t.Errorf("got %+v, %+v", got, b.reservations[order])
	}
}

func TestOnlyCrossingALimitIsTold(t *testing.T) {
	for name, x := range map[string]struct {
		available, delta int64
		want             []Event
	}{
		"within plenty":        {20, -5, nil},
		"down to the limit":    {6, -1, []Event{{Type: StockLow, Key: "A", Data: LowData{"A", 5, 5}}}},
		"lower still":          {5, -1, nil},
		"the last piece":       {1, -1, []Event{{Type: AvailabilityChanged, Key: "A", Data: AvailabilityData{"A", false, 0}}}},
		"all of plenty":        {20, -20, []Event{{Type: StockLow, Key: "A", Data: LowData{"A", 0, 5}}, {Type: AvailabilityChanged, Key: "A", Data: AvailabilityData{"A", false, 0}}}},
		"back, but few":        {0, 3, []Event{{Type: AvailabilityChanged, Key: "A", Data: AvailabilityData{"A", true, 3}}}},
		"from few to plenty":   {3, 30, nil},
		"not a piece has gone": {20, 0, nil},
	} {
		item := shelf("A", x.available)
		b := NewBook([]*Item{item}, nil, now)
		if x.delta != 0 {
			if _, err := item.Adjust("main", x.delta); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.Events(); !reflect.DeepEqual(got, x.want) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	item := shelf("A", 8)
	b := NewBook([]*Item{item}, nil, now)
	decide(t, b, reserve(t, order, Line{SKU: "A", Quantity: 8}), release())
	if got := b.Events(); len(got) != 2 {
		t.Errorf("there and back in one transaction is told: %+v", got)
	}
	item.Threshold = 8
	if got := b.Events(); len(got) != 3 || got[2].Type != StockLow {
		t.Errorf("a higher threshold: %+v", got)
	}
}

func TestLevelsRefuseWhatWouldMakeThemNegative(t *testing.T) {
	for _, move := range []func(*Level, int64) error{(*Level).Reserve, (*Level).Release, (*Level).Commit, (*Level).Sell, (*Level).Restock} {
		for _, n := range []int64{3, 1 << 62, 0, -1, -1 << 63} {
			l := Level{"main", 2, 2, 2}
			if err := move(&l, n); err == nil || l != (Level{"main", 2, 2, 2}) {
				t.Errorf("%d: %v, %+v", n, err, l)
			}
		}
	}
	for delta, want := range map[int64]error{-3: ErrInsufficientStock, -1 << 63: ErrInsufficientStock, MaxStock - 5: ErrTooMuchStock, 1<<63 - 1: ErrTooMuchStock} {
		l := Level{"main", 2, 2, 2}
		if err := l.Adjust(delta); !errors.Is(err, want) || l.Available != 2 {
			t.Errorf("%d: %v, %+v", delta, err, l)
		}
	}
}

func TestCommandsThatCannotBeMeantAreRefused(t *testing.T) {
	good := Line{SKU: "A", Quantity: 1}
	many := slices.Repeat([]Line{good}, MaxLines+1)
	for name, x := range map[string]struct {
		order   uuid.UUID
		expires time.Time
		lines   []Line
	}{
		"no order":       {uuid.Nil, later, []Line{good}},
		"no expiry":      {order, time.Time{}, []Line{good}},
		"no lines":       {order, later, nil},
		"too many lines": {order, later, many},
		"zero":           {order, later, []Line{{SKU: "A"}}},
		"negative":       {order, later, []Line{good, {SKU: "A", Quantity: -1}}},
		"too much":       {order, later, []Line{{SKU: "A", Quantity: MaxQuantity + 1}}},
		"2^53+1":         {order, later, []Line{{SKU: "A", Quantity: 1<<53 + 1}}},
		"overflow":       {order, later, []Line{{SKU: "A", Quantity: 1<<63 - 1}, {SKU: "A", Quantity: 1<<63 - 1}}},
		"a sum too much": {order, later, []Line{{SKU: "A", Quantity: MaxQuantity}, good}},
		"no SKU":         {order, later, []Line{{Quantity: 1}}},
		"quotes":         {order, later, []Line{{SKU: "A' OR ''='", Quantity: 1}}},
	} {
		if c, err := NewReserve(x.order, x.expires, x.lines); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
	c := reserve(t, order, Line{SKU: "B", Quantity: 1}, Line{SKU: "A", Location: "shop", Quantity: 2}, Line{SKU: "B", Quantity: 3})
	if !slices.Equal(c.Lines, []Line{{SKU: "A", Quantity: 2}, {SKU: "B", Quantity: 4}}) {
		t.Errorf("lines of one SKU: %+v", c.Lines)
	}
}
