package app

import (
	"context"
	"net/netip"
	"time"

	"github.com/google/uuid"
)

// Registration is what somebody says who wants an account.
type Registration struct {
	Email, Password, Name string
	Locale                string     // "" for DefaultLocale
	From                  netip.Addr // of the client; invalid if not known
}

// Pending is a registration whose e-mail nobody has verified. It is not a user.
type Pending struct {
	ID           uuid.UUID // UUIDv7; the user's, if there will be one
	Login        []byte
	Email        string
	PasswordHash string
	Name, Locale string
	CreatedAt    time.Time
	ExpiresAt    time.Time
}

// Register takes a registration. The result is the same and takes the same work whether the e-mail has an account or
// not: whoever reads its mail learns which. Errors: errs.Unprocessable for what breaks a rule, errs.Unavailable.
func (a *Accounts) Register(ctx context.Context, r Registration) error {
	email, err := CheckEmail(r.Email)
	if err != nil {
		return err
	}
	if r.Locale == "" {
		r.Locale = DefaultLocale
	}
	var wrong problems
	wrong.name("/name", r.Name)
	wrong.locale(r.Locale)
	if err := wrong.err(); err != nil {
		return err
	}
	if err := a.passwords.Check(r.Password, email); err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	hash, err := a.passwords.Hash(ctx, r.From, r.Password)
	if err != nil {
		return err
	}
	now := moment(a.now())
	return a.store.Register(ctx, Pending{
		ID: id, Login: loginOf(email), Email: email, PasswordHash: hash, Name: r.Name, Locale: r.Locale,
		CreatedAt: now, ExpiresAt: now.Add(VerifyLife),
	})
}

// VerifyEmail follows a link: its registration becomes a user, and the others of the e-mail end. Followed again, it has
// done so already, which is no error. ErrLinkInvalid.
func (a *Accounts) VerifyEmail(ctx context.Context, token string) error {
	link, err := linkOf(token, verifyPrefix)
	if err != nil {
		return err
	}
	return a.store.Verify(ctx, link)
}

// ResendVerification asks for another mail to the newest registration of an e-mail. Whether there is one is not said.
func (a *Accounts) ResendVerification(ctx context.Context, email string) error {
	canonical, err := CheckEmail(email)
	if err != nil {
		return err
	}
	return a.store.AskMail(ctx, MailVerifyEmail, loginOf(canonical))
}
