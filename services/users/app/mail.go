package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// MailKind says which text a mail has.
type MailKind string

// The kinds of mails.
const (
	MailVerifyEmail     MailKind = "verify_email"
	MailAccountExists   MailKind = "account_exists" // somebody tried to register the e-mail of an account
	MailResetPassword   MailKind = "reset_password"
	MailPasswordChanged MailKind = "password_changed"
	MailAccountLocked   MailKind = "account_locked"
)

// How long mails and their links are of use, from when they were asked for.
const (
	VerifyLife = 24 * time.Hour
	ResetLife  = time.Hour
	NoticeLife = 24 * time.Hour
)

// Bounds of what one e-mail can be made to get.
const (
	MaxMails         = 5 // to one e-mail in an hour, of those that anybody can ask for
	MaxLinks         = 5 // of one mail that work at once
	MaxRegistrations = 5 // of one e-mail that are pending at once
)

// Life is how long a mail of the kind is of use.
func (k MailKind) Life() time.Duration {
	switch k {
	case MailVerifyEmail, MailAccountExists:
		return VerifyLife
	case MailResetPassword:
		return ResetLife
	case MailPasswordChanged, MailAccountLocked:
	}
	return NoticeLife
}

// Mail is what is to be sent. It holds a secret: Link.
type Mail struct {
	To        string    `json:"to"`
	Name      string    `json:"name"`
	Locale    string    `json:"locale"`
	Kind      MailKind  `json:"kind"` // may be account_exists where verify_email was asked for
	Link      string    `json:"link"` // "" for a kind that has none
	ExpiresAt time.Time `json:"expires_at"`
}

// Contact is where a user can be written to.
type Contact struct {
	ID     uuid.UUID `json:"id"`
	Email  string    `json:"email"`
	Name   string    `json:"name"`
	Locale string    `json:"locale"`
}

// MailContent gives a mail, with a link of its own each time: the text of an earlier try may be on its way, so that a
// few of them work side by side. Nobody keeps the link. ErrGone if the mail is of no use any more.
func (a *Accounts) MailContent(ctx context.Context, id uuid.UUID) (Mail, error) {
	secret := newSecret()
	m, err := a.store.Mail(ctx, id, hashOf(secret))
	if err != nil {
		return Mail{}, err
	}
	switch m.Kind {
	case MailVerifyEmail:
		m.Link = a.issuer + "/account/verify?token=" + verifyPrefix + secret
	case MailResetPassword:
		m.Link = a.issuer + "/account/reset?token=" + resetPrefix + secret
	case MailAccountExists, MailPasswordChanged, MailAccountLocked:
	}
	return m, nil
}

// MostContacts is how many may be asked for at once.
const MostContacts = 500

// Contacts of users, in no order. Who was erased, or never was, is not among them.
func (a *Accounts) Contacts(ctx context.Context, ids []uuid.UUID) ([]Contact, error) {
	if len(ids) == 0 || len(ids) > MostContacts {
		return nil, errs.New(errs.Unprocessable, "too-many-ids", "ask for 1 to %d users", MostContacts).
			With(errs.Field{Pointer: "/ids", Detail: "must have 1 to 500 items"})
	}
	return a.store.Contacts(ctx, ids)
}

// Tokens in links say by their beginning what they are for, so that secret scanners know them.
const (
	verifyPrefix = "smv_"
	resetPrefix  = "spr_"
	secretBytes  = 32
)

func newSecret() string {
	var b [secretBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// linkOf is what the store knows a token by.
func linkOf(token, prefix string) ([]byte, error) {
	secret, ok := strings.CutPrefix(token, prefix)
	if !ok || len(secret) != base64.RawURLEncoding.EncodedLen(secretBytes) {
		return nil, ErrLinkInvalid
	}
	return hashOf(secret), nil
}
