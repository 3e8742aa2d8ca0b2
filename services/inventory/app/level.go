package app

import "fmt"

// Level is the stock of one SKU at one location, in pieces, none of them negative: available can be reserved, reserved
// is held for orders that are not confirmed, sold belongs to confirmed ones. Moves between the three leave their sum.
type Level struct {
	Location  string `json:"location"`
	Available int64  `json:"available"`
	Reserved  int64  `json:"reserved"`
	Sold      int64  `json:"sold"`
}

// errStock is a move that the level can't make. After the checks of Item and Reservation it means that the books
// disagree, so the transaction must not be committed.
func (l *Level) errStock(move string, n int64) error {
	return fmt.Errorf("can't %s %d at %s: available %d, reserved %d, sold %d", move, n, l.Location, l.Available, l.Reserved, l.Sold)
}

// move takes n pieces from one of the three to another.
func (l *Level) move(name string, from, to *int64, n int64) error {
	if n <= 0 || n > *from {
		return l.errStock(name, n)
	}
	*from, *to = *from-n, *to+n
	return nil
}

// Reserve holds n pieces for an order.
func (l *Level) Reserve(n int64) error { return l.move("reserve", &l.Available, &l.Reserved, n) }

// Release gives n reserved pieces back.
func (l *Level) Release(n int64) error { return l.move("release", &l.Reserved, &l.Available, n) }

// Commit sells n reserved pieces.
func (l *Level) Commit(n int64) error { return l.move("commit", &l.Reserved, &l.Sold, n) }

// Sell sells n pieces that nobody holds, for an order whose reservation has expired.
func (l *Level) Sell(n int64) error { return l.move("sell", &l.Available, &l.Sold, n) }

// Restock puts n sold pieces back, of an order that was cancelled.
func (l *Level) Restock(n int64) error { return l.move("restock", &l.Sold, &l.Available, n) }

// Adjust changes what is available by what people count, receive or lose. Errors: ErrInsufficientStock, ErrTooMuchStock.
func (l *Level) Adjust(delta int64) error {
	switch {
	case delta < -l.Available:
		return ErrInsufficientStock
	case delta > MaxStock-l.Available-l.Reserved-l.Sold:
		return ErrTooMuchStock
	}
	l.Available += delta
	return nil
}
