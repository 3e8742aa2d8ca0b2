package app

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// User is an account whose e-mail has been verified: there are no others. Secrets are not in it.
type User struct {
	ID              uuid.UUID `json:"id"`      // UUIDv7, of the registration
	Version         int64     `json:"version"` // one more with every change, of the password too; not with a login
	Email           string    `json:"email"`   // canonical, as CheckEmail gives it
	EmailVerifiedAt time.Time `json:"email_verified_at"`
	Name            string    `json:"name"`
	Phone           string    `json:"phone"`  // E.164, "" if not given
	Locale          string    `json:"locale"` // BCP 47
	Addresses       []Address `json:"addresses"`
	Roles           []string  `json:"roles"` // sorted, at least one
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
	// TokensValidFrom is a whole second: access tokens issued before it are refused, and none may be issued until then.
	// Zero if all are good.
	TokensValidFrom time.Time `json:"-"`
}

// Address is where something may be sent to. Line2, Region and PostalCode may be empty, as not every country has them.
type Address struct {
	Label      string `json:"label"` // the user's own word for it: "home"; may be empty
	Name       string `json:"name"`  // of the recipient
	Line1      string `json:"line1"`
	Line2      string `json:"line2"`
	City       string `json:"city"`
	Region     string `json:"region"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"` // ISO 3166-1 alpha-2
}

// Patch changes what is not nil of a profile. Neither e-mail nor roles can be changed by it.
type Patch struct {
	Name, Phone, Locale *string
	Addresses           *[]Address
}

// Login is a user who has just given the password.
type Login struct {
	User     User
	AuthTime time.Time
}

// Edit applies a patch, or says all that is wrong with it (errs.Unprocessable). What changes nothing makes no version.
func (u *User) Edit(p Patch, now time.Time) error {
	next := *u
	set(&next.Name, p.Name)
	set(&next.Phone, p.Phone)
	set(&next.Locale, p.Locale)
	if p.Addresses != nil {
		next.Addresses = slices.Clone(*p.Addresses)
	}
	var wrong problems
	wrong.profile(&next)
	if err := wrong.err(); err != nil {
		return err
	}
	if next.Name == u.Name && next.Phone == u.Phone && next.Locale == u.Locale && slices.Equal(next.Addresses, u.Addresses) {
		return nil
	}
	next.Version, next.UpdatedAt = u.Version+1, moment(now)
	*u = next
	return nil
}

func set(field, value *string) {
	if value != nil {
		*field = *value
	}
}

// moment is what the database and JSON keep of a time.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
