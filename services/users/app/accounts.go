// Package app is what the service is about: accounts, sessions, the moves they allow, and the use cases. It knows neither
// HTTP nor PostgreSQL.
package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// Errors that use cases and the store return.
var (
	ErrUserNotFound = errs.New(errs.NotFound, "user-not-found", "there is no user with this id")
	// ErrGone is for what was there: a mail of no use any more, an erased user. HTTP has 410 for it.
	ErrGone  = errs.New(errs.NotFound, "gone", "it was there, and is not any more")
	ErrStale = errs.New(errs.PreconditionFailed, "stale-version", "it has changed since you read it; read it again").
			With(errs.Field{Pointer: "header:If-Match", Detail: "is not the current version"})
	// ErrWrongCredentials is for a wrong password, an unknown e-mail, and one that is not verified yet.
	ErrWrongCredentials = errs.New(errs.Unauthenticated, "wrong-credentials", "the e-mail or the password is wrong, or the e-mail has not been verified yet")
	ErrLoginLocked      = errs.New(errs.TooMany, "login-locked", "too many failed logins; try again later, or reset the password")
	// ErrWrongPassword is for the current password of a user who is logged in.
	ErrWrongPassword = errs.New(errs.Unprocessable, "wrong-password", "the current password is wrong").
				With(errs.Field{Pointer: "/current_password", Detail: "is wrong"})
	ErrLinkInvalid = errs.New(errs.Unprocessable, "link-invalid", "the link is not complete, has been used, or has run out; ask for another").
			With(errs.Field{Pointer: "/token", Detail: "is not valid, or not any more"})
	ErrLastAdmin  = errs.New(errs.Conflict, "last-admin", "this is the last user with the role admin; give it to another one first")
	ErrNotAllowed = errs.New(errs.Forbidden, "role-lost", "you do not have the role any more that allows this")
)

// Hasher checks and hashes passwords: *Passwords. Hash, Verify and VerifyNothing do the same work, and fail with
// errs.Unavailable "too-busy" when too many wait. from is the client's address, invalid if there is none to be fair to.
type Hasher interface {
	// Check refuses (errs.Unprocessable) what should be nobody's password, or not that of this e-mail's.
	Check(password, email string) error
	Hash(ctx context.Context, from netip.Addr, password string) (hash string, err error)
	// Verify compares; outdated says that the hash was made with other parameters than today's.
	Verify(ctx context.Context, from netip.Addr, password, hash string) (matches, outdated bool, err error)
	// VerifyNothing stands in for Verify where there is no hash.
	VerifyNothing(ctx context.Context, from netip.Addr, password string) error
}

// Store keeps accounts. Each method is one transaction, and what it changes is stored with its event or not at all.
// Failures of the database are errs.Unavailable. A login is the SHA-256 of a canonical e-mail, a link that of a token.
type Store interface {
	// Register keeps a registration and asks for its mail, at the same cost whether the e-mail has an account or not.
	// It does nothing if the e-mail has had too many mails of the kind lately.
	Register(ctx context.Context, p Pending) error
	// AskMail asks for a mail, VerifyEmail or ResetPassword, whoever's the e-mail is; the same limit holds.
	AskMail(ctx context.Context, kind MailKind, login []byte) error
	// Verify makes a registration's user, once; all the other registrations of the e-mail end. ErrLinkInvalid.
	Verify(ctx context.Context, link []byte) error
	// Mail gives a mail with what is true now, and has link lead where its kind says, if that is somewhere. ErrGone.
	Mail(ctx context.Context, id uuid.UUID, link []byte) (Mail, error)

	// Lock says whether the address has logged in to the account lately, and how long the attempt is locked out; zero
	// if it is not.
	Lock(ctx context.Context, a Attempt) (known bool, remaining time.Duration, err error)
	// Take counts a failure in advance, so that attempts at once can't be more than those one by one. If it is locked out
	// by now, nothing is counted, and the rest of the lock returned.
	Take(ctx context.Context, a Attempt, l Lockout) (remaining time.Duration, err error)
	// GiveBack uncounts what Take counted, of an attempt that was not made.
	GiveBack(ctx context.Context, a Attempt, l Lockout) error
	// Succeed ends the locks of the account and remembers the address. A new hash, if there is one, takes the place of
	// that which was verified.
	Succeed(ctx context.Context, a Attempt, l Lockout, user uuid.UUID, verified, rehashed string) error

	// Credentials are the user of an e-mail and the hash of the password, as they are at one moment. ErrUserNotFound.
	Credentials(ctx context.Context, login []byte) (User, string, error)
	// CredentialsOf is Credentials by id.
	CredentialsOf(ctx context.Context, id uuid.UUID) (User, string, error)
	// LinkedUser is the user whom a link to reset the password was sent to. ErrLinkInvalid.
	LinkedUser(ctx context.Context, link []byte) (User, error)
	// ResetPassword uses the link up, sets the password, ends all sessions, locks and other links. ErrLinkInvalid.
	ResetPassword(ctx context.Context, link []byte, hash string) error
	// ChangePassword replaces the hash that was verified and ends the sessions but one (Nil: all), and links that would
	// reset the password. ErrWrongPassword if the hash has changed meanwhile.
	ChangePassword(ctx context.Context, user, except uuid.UUID, verified, hash string) error

	// User by id. ErrUserNotFound, ErrGone.
	User(ctx context.Context, id uuid.UUID) (User, error)
	// Contacts of those among the users who are there.
	Contacts(ctx context.Context, ids []uuid.UUID) ([]Contact, error)
	// Change stores what change makes of a user whom nobody else changes meanwhile, unless it returns an error. It may
	// be called again, with the user as it is then.
	Change(ctx context.Context, id uuid.UUID, change func(*User) error) (User, error)
	// SetRoles replaces the roles, if match allows the version; older access tokens are refused from then on. actor, unless
	// Nil, must still be an admin (ErrNotAllowed). One admin stays (ErrLastAdmin).
	SetRoles(ctx context.Context, actor, id uuid.UUID, match func(version int64) error, roles []string) (User, error)
	// Erase deletes all that is known of a user but that there was one. ErrUserNotFound, ErrGone, ErrLastAdmin.
	Erase(ctx context.Context, id uuid.UUID) error
	// Export gathers all that is known of a user. ErrUserNotFound, ErrGone.
	Export(ctx context.Context, id uuid.UUID) (Export, error)
}

// Options of Accounts.
type Options struct {
	// Issuer is the public URL that links in mails begin with; no slash at its end.
	Issuer string
	// Lockout is asked at each login; nil for DefaultLockout.
	Lockout func() Lockout
	// LockMemory is for how long an instance turns the attempts of a lock away without asking the store again: how long
	// a lock may be felt that another instance ended. 0 is a second.
	LockMemory time.Duration
}

// Accounts has the use cases of accounts. It is safe for concurrent use.
type Accounts struct {
	store     Store
	passwords Hasher
	issuer    string
	lockout   func() Lockout
	gate      gate
	locked    lockMemory
	now       func() time.Time
}

// New makes the use cases on a store.
func New(store Store, passwords Hasher, opts Options) *Accounts {
	if opts.Lockout == nil {
		opts.Lockout = DefaultLockout
	}
	return &Accounts{store: store, passwords: passwords, issuer: opts.Issuer, lockout: opts.Lockout, locked: lockMemory{life: cmp.Or(opts.LockMemory, time.Second)}, now: time.Now}
}

// User by id: ErrUserNotFound, or ErrGone if erased.
func (a *Accounts) User(ctx context.Context, id uuid.UUID) (User, error) {
	return a.store.User(ctx, id)
}

// FindByEmail gives the user of an e-mail, or ErrUserNotFound.
func (a *Accounts) FindByEmail(ctx context.Context, email string) (User, error) {
	u, _, err := a.store.Credentials(ctx, loginOf(email))
	return u, err
}

// Update changes a profile, if match allows its version; match's error is returned as it is, and nil allows any.
func (a *Accounts) Update(ctx context.Context, id uuid.UUID, match func(version int64) error, patch Patch) (User, error) {
	match = orAny(match)
	return a.store.Change(ctx, id, func(u *User) error {
		if err := match(u.Version); err != nil {
			return err
		}
		return u.Edit(patch, a.now())
	})
}

// SetRoles gives a user other roles, if match allows its version; nil allows any. actor is who does it: a user who must still be an admin at that moment, or uuid.Nil
// for a service that may. The user's access tokens are refused that were issued before the next whole second.
func (a *Accounts) SetRoles(ctx context.Context, actor, id uuid.UUID, match func(version int64) error, roles []string) (User, error) {
	roles, err := checkRoles(roles)
	if err != nil {
		return User{}, err
	}
	return a.store.SetRoles(ctx, actor, id, orAny(match), roles)
}

func orAny(match func(version int64) error) func(version int64) error {
	if match == nil {
		return func(int64) error { return nil }
	}
	return match
}

// loginOf stands for an e-mail wherever the e-mail itself need not be known. One that can't be an e-mail has its place
// too: attempts with it take the same way as all.
func loginOf(email string) []byte {
	canonical, err := CheckEmail(email)
	if err != nil {
		canonical = strings.ToLower(email)
	}
	sum := sha256.Sum256([]byte(canonical))
	return sum[:]
}
