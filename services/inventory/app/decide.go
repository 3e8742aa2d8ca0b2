package app

// reserve holds all lines or none.
func (b *Book) reserve(c Command, r *Reservation) (Event, error) {
	if r != nil { // asked before, whatever it said then
		return r.event(), nil
	}
	r = b.add(&Reservation{OrderID: c.OrderID, ExpiresAt: c.ExpiresAt})
	if reason, shortages := b.shortages(c.Lines); reason != "" {
		r.State, r.Reason, r.Shortages = Rejected, reason, shortages
		return r.event(), nil
	}
	if !b.now.Before(c.ExpiresAt) { // nobody waits for it any more
		r.State, r.Lines = Expired, c.Lines
		return r.event(), nil
	}
	var err error
	r.State = Reserved
	r.Lines, err = b.take(c.Lines, (*Level).Reserve)
	return r.event(), err
}

// commit sells what is held. What has expired is taken again if it is still there: the order was paid for.
func (b *Book) commit(c Command, r *Reservation) (Event, error) {
	failed := func(reason string) (Event, error) {
		return Event{Type: ReservationCommitFailed, Data: ReasonData{OrderID: c.OrderID, Reason: reason}}, nil
	}
	if r == nil || r.State == Rejected {
		return failed(Unknown)
	}
	switch r.State {
	case Committed:
		return r.event(), nil
	case Released:
		return failed(WasReleased)
	case Expired:
		wanted := BySKU(r.Lines)
		if reason, _ := b.shortages(wanted); reason != "" {
			return failed(HasExpired)
		}
		lines, err := b.take(wanted, (*Level).Sell)
		if err == nil {
			err = r.commit(lines)
		}
		return r.event(), err
	}
	if err := b.each(r.Lines, (*Level).Commit); err != nil {
		return Event{}, err
	}
	err := r.commit(nil)
	return r.event(), err
}

// release gives back what is held or was sold. Of an order that is not known it leaves a note, so that a reserve which
// comes after it is refused.
func (b *Book) release(c Command, r *Reservation) (Event, error) {
	var err error
	switch {
	case r == nil:
		r = b.add(&Reservation{OrderID: c.OrderID, State: Released, Reason: c.Reason})
		return r.released(), nil
	case r.State == Released, r.State == Rejected: // nothing is held, nor will be
		return r.released(), nil
	case r.State == Reserved:
		err = b.each(r.Lines, (*Level).Release)
	case r.State == Committed:
		err = b.each(r.Lines, (*Level).Restock)
	}
	if err == nil {
		err = r.release(c.Reason)
	}
	return r.released(), err
}

// expire releases what was held for too long. The store asks it of what is reserved only.
func (b *Book) expire(r *Reservation) (Event, error) {
	if err := b.each(r.Lines, (*Level).Release); err != nil {
		return Event{}, err
	}
	err := r.expire()
	return r.event(), err
}

// shortages says why the lines, one a SKU, can't be taken: a reason, "" if they can.
func (b *Book) shortages(lines []Line) (reason string, shortages []Shortage) {
	var unknown []Shortage
	for _, l := range lines {
		i := b.items[l.SKU]
		switch {
		case i == nil:
			unknown = append(unknown, Shortage{SKU: l.SKU, Requested: l.Quantity})
		case i.Available() < l.Quantity:
			shortages = append(shortages, Shortage{SKU: l.SKU, Requested: l.Quantity, Available: i.Available()})
		}
	}
	switch {
	case unknown != nil:
		return UnknownSKU, unknown
	case shortages != nil:
		return InsufficientStock, shortages
	}
	return "", nil
}

// take moves what is available, from as many locations as it needs.
func (b *Book) take(lines []Line, move func(*Level, int64) error) (taken []Line, err error) {
	for _, l := range lines {
		from, err := b.items[l.SKU].take(l.Quantity, move)
		if err != nil {
			return nil, err
		}
		taken = append(taken, from...)
	}
	return taken, nil
}

// each makes a move of every line, where it was taken from.
func (b *Book) each(lines []Line, move func(*Level, int64) error) error {
	for _, l := range lines {
		i, err := b.Item(l.SKU)
		if err != nil {
			return err
		}
		at := i.at(l.Location)
		if at == nil {
			return (&Level{Location: l.Location}).errStock("find", l.Quantity)
		}
		if err := move(at, l.Quantity); err != nil {
			return err
		}
	}
	return nil
}

// BySKU adds up lines, which are in the order of their SKUs: one for each, without location.
func BySKU(lines []Line) (sums []Line) {
	sums = []Line{}
	for _, l := range lines {
		if last := len(sums) - 1; last >= 0 && sums[last].SKU == l.SKU {
			sums[last].Quantity += l.Quantity
		} else {
			sums = append(sums, Line{SKU: l.SKU, Quantity: l.Quantity})
		}
	}
	return sums
}

// event tells the state: what a command is answered that has no effect any more, too.
func (r *Reservation) event() Event {
	switch r.State {
	case Reserved:
		return Event{Type: ReservationReserved, Data: ReservedData{OrderID: r.OrderID, ExpiresAt: r.ExpiresAt, Lines: r.Lines}}
	case Committed:
		return Event{Type: ReservationCommitted, Data: OrderData{OrderID: r.OrderID}}
	case Expired:
		return Event{Type: ReservationExpired, Data: OrderData{OrderID: r.OrderID}}
	case Rejected:
		return Event{Type: ReservationRejected, Data: RejectedData{OrderID: r.OrderID, Reason: r.Reason, Shortages: orNone(r.Shortages)}}
	}
	return Event{Type: ReservationRejected, Data: RejectedData{OrderID: r.OrderID, Reason: WasReleased, Shortages: []Shortage{}}}
}

// released acknowledges a release.
func (r *Reservation) released() Event {
	return Event{Type: ReservationReleased, Data: ReleasedData{OrderID: r.OrderID, Reason: r.Reason, Restocked: r.Restocked}}
}

func orNone[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
