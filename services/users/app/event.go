package app

import (
	"time"

	"github.com/google/uuid"
)

// Topic is where all events of this service go. The key is the user's id, or that of a mail that may be nobody's.
const (
	Topic  = "users.events.v1"
	Source = "/users" // of CloudEvents
)

// EventType names what happened, with the version of the data's shape.
type EventType string

// The events. Their data has ids and what a consumer needs, never an e-mail, a name or an address.
const (
	Registered    EventType = "souk.users.user.registered.v1"        // UserData
	Verified      EventType = "souk.users.user.verified.v1"          // UserData
	Locked        EventType = "souk.users.user.locked.v1"            // LockedData
	RolesChanged  EventType = "souk.users.user.roles_changed.v1"     // RolesData
	Erased        EventType = "souk.users.user.erased.v1"            // UserData
	ReuseDetected EventType = "souk.users.session.reuse_detected.v1" // ReuseData
	MailRequested EventType = "souk.users.mail.requested.v1"         // MailData
)

// Schema is the CloudEvents dataschema of the type: it names the shape, and there is one for each type.
func (t EventType) Schema() string { return "urn:souk:schema:" + string(t) }

// UserData tells of a user.
type UserData struct {
	UserID uuid.UUID `json:"user_id"`
}

// LockedData tells that failed logins locked an account.
type LockedData struct {
	UserID uuid.UUID `json:"user_id"`
	Until  time.Time `json:"until"`
}

// RolesData has the roles as they are now.
type RolesData struct {
	UserID uuid.UUID `json:"user_id"`
	Roles  []string  `json:"roles"`
}

// ReuseData tells that a refresh token was used again, and its session revoked.
type ReuseData struct {
	UserID    uuid.UUID `json:"user_id"`
	SessionID uuid.UUID `json:"session_id"`
	ClientID  string    `json:"client_id"`
}

// MailData names a mail whose content MailContent gives.
type MailData struct {
	MailID uuid.UUID `json:"mail_id"`
	Kind   MailKind  `json:"kind"`
}
