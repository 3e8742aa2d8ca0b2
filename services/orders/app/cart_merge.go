package app

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Adopt makes an anonymous cart the user's, who has shown its token.
func (c *Cart) Adopt(user uuid.UUID) error {
	if c.User != uuid.Nil || c.MergedInto != uuid.Nil {
		return ErrNotMergeable
	}
	c.User = user
	c.Version++
	return nil
}

// Absorb moves the lines of an anonymous cart into c, which is a user's. Quantities add up, to MaxQuantity at most.
func (c *Cart) Absorb(from *Cart) error {
	if err := c.CheckOpen(); err != nil {
		return err
	}
	if c.User == uuid.Nil || from.User != uuid.Nil || from.MergedInto != uuid.Nil || from.Order != uuid.Nil {
		return ErrNotMergeable
	}
	lines, currency := slices.Clone(c.Lines), c.Currency
	if len(from.Lines) > 0 {
		if currency != "" && currency != from.Currency {
			return ErrCurrencyMismatch
		}
		currency = from.Currency
	}
	for _, l := range from.Lines {
		i := slices.IndexFunc(lines, func(mine CartLine) bool { return mine.SKU == l.SKU })
		if i < 0 {
			lines = append(lines, l)
			continue
		}
		lines[i].Quantity = min(lines[i].Quantity+l.Quantity, MaxQuantity)
	}
	if len(lines) > MaxLines {
		return ErrCartFull
	}
	if !countable(lines) {
		return ErrCartTotal
	}
	c.Lines, c.Currency = lines, currency
	c.Version++
	from.User, from.MergedInto, from.Lines = c.User, c.ID, nil
	from.Version++
	return nil
}

// Merge gives the user of v what the anonymous cart from has, and tells which cart that is in: into, the user's newest open
// cart in from's currency or, for a from that was merged before, the one it went to; nil if there is none, and from itself
// becomes the user's. Merging again changes nothing.
func Merge(from, into *Cart, v Visitor, now time.Time) (*Cart, error) {
	if !from.holds(v) || !now.Before(from.ExpiresAt) || from.User != uuid.Nil && from.User != v.User {
		return nil, ErrNotMergeable
	}
	switch {
	case from.MergedInto != uuid.Nil && (into == nil || into.CheckVisitor(v, now) != nil):
		return nil, ErrNotMergeable // where it went is gone
	case from.MergedInto != uuid.Nil:
		return into, nil
	case from.User != uuid.Nil:
		return from, nil
	case into == nil:
		return from, from.Adopt(v.User)
	}
	return into, into.Absorb(from)
}
