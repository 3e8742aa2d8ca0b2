package app

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// LogIn gives the user of an e-mail and password. An unknown e-mail takes the same way as a known one with a wrong
// password, to the same error, locks included. from is the client's address, invalid if not known. Errors:
// ErrWrongCredentials, ErrLoginLocked with when to try again, errs.Unavailable "too-busy" and of the database.
func (a *Accounts) LogIn(ctx context.Context, email, password string, from netip.Addr) (User, error) {
	login := loginOf(email)
	return a.attempt(ctx, login, password, from, func(ctx context.Context) (User, string, error) {
		return a.store.Credentials(ctx, login)
	})
}

// attempt compares a password with that of the user whom load gives, if nothing locks it out.
func (a *Accounts) attempt(ctx context.Context, login []byte, password string, from netip.Addr, load func(context.Context) (User, string, error)) (User, error) {
	try := Attempt{Login: login, From: network(from)}
	if remaining := a.locked.remaining(try, a.now()); remaining > 0 { // the cheap way out of a flood
		return User{}, lockedFor(remaining)
	}
	known, remaining, err := a.store.Lock(ctx, try)
	if err != nil {
		return User{}, err
	}
	if remaining > 0 {
		a.locked.keep(try, a.now(), remaining)
		return User{}, lockedFor(remaining)
	}
	try.Known = known
	leave, err := a.gate.enter(ctx, gateKey(try))
	if err != nil {
		return User{}, err
	}
	defer leave()
	lockout := a.lockout()
	if remaining, err = a.store.Take(ctx, try, lockout); err != nil {
		return User{}, err
	}
	if remaining > 0 {
		return User{}, lockedFor(remaining)
	}
	u, rehashed, verified, err := a.verify(ctx, password, from, load)
	switch {
	case errors.Is(err, ErrWrongCredentials):
		return User{}, err // it is counted already
	case err != nil:
		a.giveBack(ctx, try, lockout)
		return User{}, err
	}
	if err := a.store.Succeed(ctx, try, lockout, u.ID, verified, rehashed); err != nil {
		return User{}, err
	}
	a.locked.forget(login)
	return u, nil
}

// verify does the same work whether there is a user or not.
func (a *Accounts) verify(ctx context.Context, password string, from netip.Addr, load func(context.Context) (User, string, error)) (u User, rehashed, verified string, err error) {
	u, verified, err = load(ctx)
	if errors.Is(err, ErrUserNotFound) {
		if err = a.passwords.VerifyNothing(ctx, from, password); err == nil {
			err = ErrWrongCredentials
		}
	}
	if err != nil {
		return User{}, "", "", err
	}
	matches, outdated, err := a.passwords.Verify(ctx, from, password, verified)
	if err != nil {
		return User{}, "", "", err
	}
	if !matches {
		return User{}, "", "", ErrWrongCredentials
	}
	if outdated {
		// Another time will do if it is busy now.
		if rehashed, err = a.passwords.Hash(ctx, from, password); err != nil {
			rehashed = ""
		}
	}
	return u, rehashed, verified, nil
}

// giveBack uncounts an attempt whose outcome nobody learns, even if the request has ended meanwhile. If it fails the
// attempt stays counted, which is the safe side.
func (a *Accounts) giveBack(ctx context.Context, try Attempt, lockout Lockout) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = a.store.GiveBack(ctx, try, lockout)
}

// lockedFor says when to come back, in whole seconds, as Retry-After has them.
func lockedFor(remaining time.Duration) error {
	return ErrLoginLocked.After((remaining + time.Second - 1).Truncate(time.Second))
}
