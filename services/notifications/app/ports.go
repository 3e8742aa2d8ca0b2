package app

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Store keeps mails. Each method is one transaction. Leases count by the database's clock.
type Store interface {
	// Claim leases the mails that have been due longest, at most so many, oldest first.
	Claim(ctx context.Context, lease time.Duration, most int) ([]Claim, error)
	// Hand is called right before the mail is handed over: it extends the lease, and notes that from here on the mail
	// may be out. ErrLeaseLost forbids sending it.
	Hand(ctx context.Context, c Claim, lease time.Duration) error
	// Retry gives claims back, to be due again later. Those whose lease was lost stay as they are.
	Retry(ctx context.Context, claims []Claim, r Retry) error
	// Finish ends mails, and forgets what they had of orders. It tells of which the lease was lost; the others have ended.
	Finish(ctx context.Context, ends []End) (lost map[uuid.UUID]bool, err error)
	// Depth is how many mails are queued, and how long ago the oldest was asked for; 0 without any.
	Depth(ctx context.Context) (queued int, oldest time.Duration, err error)
}

// Users is asked when a mail is about to be sent. The error is ErrGone or a *Failure.
type Users interface {
	// Mail gives the content of an account's mail. Each call makes another link; those before stay good.
	Mail(ctx context.Context, id uuid.UUID) (Content, error)
	// Contacts gives the addresses of users, for orders' mails. Who is not among them is gone. At most MostContacts at once.
	Contacts(ctx context.Context, users []uuid.UUID) (map[uuid.UUID]Content, error)
}

// Post takes mails. Errors of its own are *Failure.
type Post interface {
	// Open makes ready to send: it connects and logs in.
	Open(ctx context.Context) (Session, error)
}

// MostContacts is how many users may ask for at once.
const MostContacts = 500

// Session sends one mail at a time, one after another.
type Session interface {
	// Batch is how many mails may be sent before the first of them is recorded: 1 where one that was not recorded would go
	// out again. Where it is more, a mail is out for certain or not at all, and Send never hands over.
	Batch() int
	// Sent reports a mail that is out for certain.
	Sent(m Mail) (bool, error)
	// Send hands the mail over. It calls hand when nothing but the handing over is left to do, with the time that this
	// may take, and returns its error if it has one. After any error the session is spent.
	Send(ctx context.Context, m Mail, c Content, hand func(ctx context.Context, limit time.Duration) error) error
	Close()
}
