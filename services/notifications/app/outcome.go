package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Status of a mail.
type Status string

// Each mail is queued once and ends once.
const (
	Queued  Status = "queued"
	Sent    Status = "sent"
	Failed  Status = "failed"  // it can't be sent, or could not be for too long
	Dropped Status = "dropped" // nobody wants it any more: the link was used, the user is gone
)

// Errors that the parts around this package return.
var (
	// ErrGone: users has no use for the mail any more, or no such user.
	ErrGone = errors.New("users has no such mail or user any more")
	// ErrLeaseLost: another instance may have the mail by now, or it was erased.
	ErrLeaseLost = errors.New("the lease on the mail has been lost")
)

// Failure is why a mail could not be sent. Neither its text nor Reason has an address, a name or a link in it.
type Failure struct {
	Reason  string // "recipient-refused 550 5.1.1"
	Said    string // what the server said, without addresses; only logged
	Final   bool   // trying again is of no use
	InDoubt bool   // the connection ended after the whole mail was handed over and before the server's reply: it may have it
	Down    bool   // it says something about the server, not about this mail
	Waits   bool   // nobody looked at the mail yet, so that its time doesn't run
}

// Error is for logs.
func (f *Failure) Error() string {
	if f.Said == "" {
		return f.Reason
	}
	return fmt.Sprintf("%s: %s", f.Reason, f.Said)
}

// Claim is a mail that this instance alone may send, for as long as its lease lasts.
type Claim struct {
	Mail
	Lease        uuid.UUID // of this claim alone
	Attempts     int       // failed ones so far, waits left out
	Doubts       int       // how often an earlier attempt may have reached the server unnoticed
	FailingSince time.Time // of the first failed attempt; zero: none
}

// End of a claimed mail.
type End struct {
	Claim
	Status Status // Sent, Failed or Dropped
	Reason string
}

// Retry says when a mail is tried again, and what is kept of the attempt.
type Retry struct {
	After   time.Duration
	Reason  string
	Counts  bool // it is one of Claim.Attempts, and from the first of these the time to give up is counted
	InDoubt bool
}
