package app

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// MaxPage is how many orders or carts one page may have.
const MaxPage = 100

// Answer is what a request with an Idempotency-Key was answered, to be repeated word for word.
type Answer struct {
	Location string
	Body     []byte // JSON
}

// OrderStore keeps orders. Each method is one transaction. Failures of the database are errs.Unavailable.
type OrderStore interface {
	// NextNumber is a number that no order has.
	NextNumber(ctx context.Context) (int64, error)
	// Answered is what was stored with the key before; ok is false if nothing was. A key that was used for another request
	// is errs.IdempotencyKeyReused.
	Answered(ctx context.Context, once Once) (answer Answer, ok bool, err error)
	// InsertOrder stores a new order, whose cart is ordered by it, with the answer for its key. If the key has been answered
	// meanwhile, nothing is stored, and that answer comes back as replayed. Errors: errs.IdempotencyInFlight,
	// errs.IdempotencyKeyReused; ErrCartChanged if the cart is not open in this version any more.
	InsertOrder(ctx context.Context, once Once, o *Order, cart Cart, address *Address, answer Answer) (replay *Answer, err error)
	// Order by id, with its address if there is one, or ErrOrderNotFound.
	Order(ctx context.Context, id uuid.UUID) (*Order, *Address, error)
	// Orders, newest first.
	Orders(ctx context.Context, filter OrderFilter) ([]OrderView, error)
	// ChangeOrder stores what change makes of an order that nobody else changes meanwhile, unless it returns an error. It may
	// be called again, with the order as it is then.
	ChangeOrder(ctx context.Context, id uuid.UUID, change func(*Order) error) (*Order, *Address, error)
	// ChangeOrderOnce is ChangeOrder with an answer that is kept for the key.
	ChangeOrderOnce(ctx context.Context, once Once, id uuid.UUID, change func(*Order) (Answer, error)) (answer Answer, replayed bool, err error)
	// History is the order's events after a version, the oldest first.
	History(ctx context.Context, id uuid.UUID, after int64) ([]Event, error)
	// Reconciliation lists orders by id, after one.
	Reconciliation(ctx context.Context, after uuid.UUID, limit int) ([]Account, error)
}

// OrderFilter says which orders are listed.
type OrderFilter struct {
	User   uuid.UUID // Nil: of everybody
	Status Status    // "" for all
	Before uuid.UUID // older than this one; Nil: from the newest
	Limit  int
}

// Reader is who asks about orders.
type Reader struct {
	User uuid.UUID // Nil: a service
	All  bool      // may read those of others
}

// sees hides orders from strangers: for them there are none.
func (r Reader) sees(o *Order) bool { return r.All || r.User != uuid.Nil && r.User == o.User }

// Orders has the use cases. It is safe for concurrent use.
type Orders struct {
	store     OrderStore
	carts     *Carts
	deadlines func() Deadlines
	now       func() time.Time
}

// NewOrders makes the use cases; deadlines is asked on each use.
func NewOrders(store OrderStore, carts *Carts, deadlines func() Deadlines) *Orders {
	return &Orders{store: store, carts: carts, deadlines: deadlines, now: Now}
}

// Now is the time as events keep it.
func Now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// Place orders what is in a cart, at the catalogue's prices, if those are what the customer has seen.
func (s *Orders) Place(ctx context.Context, once Once, p Placement) (answer Answer, replayed bool, err error) {
	if err := p.Validate(); err != nil {
		return Answer{}, false, err
	}
	answer, replayed, err = s.place(ctx, once, p)
	if err != nil && !errors.Is(err, errs.IdempotencyInFlight()) && !errors.Is(err, errs.IdempotencyKeyReused()) {
		// The cart of a request that was answered before is ordered by now. That is looked up here and not at first, as most
		// requests come once.
		if earlier, ok, e := s.store.Answered(ctx, once); e != nil || ok {
			return earlier, ok, e
		}
	}
	return answer, replayed, err
}

func (s *Orders) place(ctx context.Context, once Once, p Placement) (answer Answer, replayed bool, err error) {
	cart, err := s.carts.ForOrder(ctx, p.User, p.Cart, p.Version)
	if err != nil {
		return Answer{}, false, err
	}
	number, err := s.store.NextNumber(ctx)
	if err != nil {
		return Answer{}, false, err
	}
	o, err := Place(number, cart, p, s.now(), s.deadlines())
	if err != nil {
		return Answer{}, false, err
	}
	if answer, err = o.View(p.Address).answer("/v1/orders/" + o.ID.String()); err != nil {
		return Answer{}, false, err
	}
	replay, err := s.store.InsertOrder(ctx, once, o, cart, p.Address, answer)
	switch {
	case errors.Is(err, ErrCartChanged): // just now: by whom?
		if _, now := s.carts.ForOrder(ctx, p.User, p.Cart, p.Version); now != nil {
			err = now
		}
		return Answer{}, false, err
	case err != nil:
		return Answer{}, false, err
	case replay != nil:
		return *replay, true, nil
	}
	return answer, false, nil
}

// Order that r may see.
func (s *Orders) Order(ctx context.Context, r Reader, id uuid.UUID) (OrderView, error) {
	o, address, err := s.store.Order(ctx, id)
	if err == nil && !r.sees(o) {
		err = ErrOrderNotFound
	}
	if err != nil {
		return OrderView{}, err
	}
	return o.View(address), nil
}

// OrderPage is a page of orders.
type OrderPage struct {
	Orders []OrderView
	More   bool // there are older ones
}

// List the orders that a filter lets through. Who may ask for whose is the caller's affair.
func (s *Orders) List(ctx context.Context, f OrderFilter) (OrderPage, error) {
	limit := f.Limit
	f.Limit++ // one more tells whether there is a next page
	orders, err := s.store.Orders(ctx, f)
	if err != nil || len(orders) <= limit {
		return OrderPage{Orders: orders}, err
	}
	return OrderPage{Orders: orders[:limit], More: true}, nil
}

// Cancel an order that r may see.
func (s *Orders) Cancel(ctx context.Context, r Reader, id uuid.UUID, c Cancellation) (OrderView, error) {
	if err := c.Validate(); err != nil {
		return OrderView{}, err
	}
	o, address, err := s.store.ChangeOrder(ctx, id, func(o *Order) error {
		if !r.sees(o) {
			return ErrOrderNotFound
		}
		return o.Cancel(c, s.now(), s.deadlines())
	})
	if err != nil {
		return OrderView{}, err
	}
	return o.View(address), nil
}

// Fulfil notes that some of an order was handed over.
func (s *Orders) Fulfil(ctx context.Context, once Once, id uuid.UUID, f Fulfilment) (answer Answer, replayed bool, err error) {
	return s.store.ChangeOrderOnce(ctx, once, id, func(o *Order) (Answer, error) {
		f.ID, f.At = newID(), s.now()
		if err := o.Fulfil(f, f.At, s.deadlines()); err != nil {
			return Answer{}, err
		}
		return answerOf("", f.View())
	})
}

// Fulfilments of an order that r may see, the oldest first.
func (s *Orders) Fulfilments(ctx context.Context, r Reader, id uuid.UUID) ([]FulfilmentView, error) {
	events, err := s.History(ctx, r, id)
	if err != nil {
		return nil, err
	}
	views := []FulfilmentView{}
	for _, e := range events {
		if f, ok := e.Fact.(Fulfilled); ok {
			views = append(views, Fulfilment{ID: f.ID, Lines: f.Lines, Tracking: f.Tracking, At: e.At}.View())
		}
	}
	return views, nil
}

// History of an order that r may see: all its events, the oldest first.
func (s *Orders) History(ctx context.Context, r Reader, id uuid.UUID) ([]Event, error) {
	events, err := s.store.History(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 || !r.sees(Fold(events)) {
		return nil, ErrOrderNotFound
	}
	return events, nil
}

// Reconciliation lists what every order holds, by id.
func (s *Orders) Reconciliation(ctx context.Context, after uuid.UUID, limit int) ([]Account, error) {
	return s.store.Reconciliation(ctx, after, limit)
}
