package app

import (
	"net/netip"
	"time"
)

// Lockout says when failed logins lock further ones out. Every lock is twice as long as the one before.
type Lockout struct {
	AccountFailures int           // that lock an account; at least 2
	AccountWindow   time.Duration // after which an account's are forgotten
	AddressFailures int           // that lock an address; at least 2
	AddressWindow   time.Duration
	First, Longest  time.Duration // of locks
}

// DefaultLockout is what a person who mistypes does not notice, and a program that guesses does.
func DefaultLockout() Lockout {
	return Lockout{
		AccountFailures: 5, AccountWindow: 24 * time.Hour,
		AddressFailures: 100, AddressWindow: 15 * time.Minute,
		First: time.Second, Longest: 15 * time.Minute,
	}
}

// KnownFor is how long an address from which somebody has logged in is exempt from the locks that others cause.
const KnownFor = 30 * 24 * time.Hour

// Attempt is one try to log in.
type Attempt struct {
	Login []byte       // SHA-256 of the e-mail, whether it has an account or not
	From  netip.Prefix // of the client's network; invalid if not known: then only the account counts
	// Known: the address has logged in to the account lately. It has a count of its own: others can't lock it out, nor
	// can it guess more.
	Known bool
}

// network is what counts as one address: an IPv6 customer has a /64 at least.
func network(from netip.Addr) netip.Prefix {
	from = from.Unmap().WithZone("")
	bits := 64
	if from.Is4() {
		bits = 32
	}
	p, _ := from.Prefix(bits) // invalid for an invalid address
	return p
}
