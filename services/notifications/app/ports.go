package app

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Store keeps mails. Each method is one transaction. Leases count by the database's clock.
type Store interface {
	// Claim leases the mail that has been due longest; ok is false if none is.
	Claim(ctx context.Context, lease time.Duration) (c Claim, ok bool, err error)
	// Hand is called right before the mail is handed over: it extends the lease, and notes that from here on the mail
	// may be out. ErrLeaseLost forbids sending it.
	Hand(ctx context.Context, c Claim, lease time.Duration) error
	// Retry gives the claim back, to be due again later. ErrLeaseLost changes nothing, like in Finish.
	Retry(ctx context.Context, c Claim, r Retry) error
	// Finish ends the mail, and forgets what it had of the order.
	Finish(ctx context.Context, c Claim, status Status, reason string) error
	// Depth is how many mails are queued, and how long ago the oldest was asked for; 0 without any.
	Depth(ctx context.Context) (queued int, oldest time.Duration, err error)
}

// Users is asked when a mail is about to be sent. The error is ErrGone or a *Failure.
type Users interface {
	// Mail gives the content of an account's mail. Each call makes another link; those before stay good.
	Mail(ctx context.Context, id uuid.UUID) (Content, error)
	// Contact gives the address of a user, for an order's mail.
	Contact(ctx context.Context, user uuid.UUID) (Content, error)
}

// Post takes mails. Errors of its own are *Failure.
type Post interface {
	// Open makes ready to send: it connects and logs in.
	Open(ctx context.Context) (Session, error)
}

// Session sends one mail at a time, one after another.
type Session interface {
	// Sent reports a mail that is out for certain.
	Sent(m Mail) (bool, error)
	// Send hands the mail over. It calls hand when nothing but the handing over is left to do, with the time that this
	// may take, and returns its error if it has one. After any error the session is spent.
	Send(ctx context.Context, m Mail, c Content, hand func(ctx context.Context, limit time.Duration) error) error
	Close()
}
