package app

import (
	"context"
	"errors"
	"net/netip"

	"github.com/google/uuid"
)

// RequestReset asks for a mail with a link to set a new password. Whether the e-mail has an account is not said.
func (a *Accounts) RequestReset(ctx context.Context, email string) error {
	canonical, err := CheckEmail(email)
	if err != nil {
		return err
	}
	return a.store.AskMail(ctx, MailResetPassword, loginOf(canonical))
}

// ResetPassword follows a link: all sessions of the user end, and so do locks. ErrLinkInvalid; errs.Unprocessable for a
// password that breaks a rule, after which the link still works.
func (a *Accounts) ResetPassword(ctx context.Context, token, password string) error {
	link, err := linkOf(token, resetPrefix)
	if err != nil {
		return err
	}
	u, err := a.store.LinkedUser(ctx, link) // hashing is for those who have a link
	if err != nil {
		return err
	}
	if err := a.passwords.Check(password, u.Email); err != nil {
		return err
	}
	hash, err := a.passwords.Hash(ctx, netip.Addr{}, password)
	if err != nil {
		return err
	}
	if err := a.store.ResetPassword(ctx, link, hash); err != nil {
		return err
	}
	a.locked.forget(loginOf(u.Email))
	return nil
}

// ChangePassword is for a user who is logged in; all sessions but keep (uuid.Nil: all) end. Guesses of the current
// password count as failed logins. Errors: ErrWrongPassword, ErrLoginLocked, errs.Unprocessable, errs.Unavailable.
func (a *Accounts) ChangePassword(ctx context.Context, user, keep uuid.UUID, current, password string, from netip.Addr) error {
	u, err := a.store.User(ctx, user)
	if err != nil {
		return err
	}
	if err := a.passwords.Check(password, u.Email); err != nil {
		return err
	}
	verified := ""
	_, err = a.attempt(ctx, loginOf(u.Email), current, from, func(c context.Context) (User, string, error) {
		u, hash, err := a.store.CredentialsOf(c, user)
		verified = hash
		return u, hash, err
	})
	if errors.Is(err, ErrWrongCredentials) {
		return ErrWrongPassword
	}
	if err != nil {
		return err
	}
	hash, err := a.passwords.Hash(ctx, from, password)
	if err != nil {
		return err
	}
	return a.store.ChangePassword(ctx, user, keep, verified, hash)
}
