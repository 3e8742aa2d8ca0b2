package app

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"souk/internal/logs"
)

// worker sends one mail at a time.
type worker struct {
	*Sender
	session Session // nil: none is open
	used    int     // how often it was

	contacts map[uuid.UUID]Content // of the users of the batch; nil: they are asked for when one is needed
	asked    time.Time             // when
	written  []Claim               // sent, but not certainly
}

const (
	// sessionMails is how many mails go over one session; servers have limits of their own, usually higher ones.
	sessionMails = 100
	// contactsLife is how long an address is good: its user may change it, or go.
	contactsLife = 10 * time.Second
)

func (w *worker) close() {
	if w.session != nil {
		w.session.Close()
		w.session, w.used = nil, 0
	}
}

// deliver brings claimed mails to an end, or puts them back. When ctx ends, what has begun may still end well, and the
// rest is put back.
func (w *worker) deliver(ctx context.Context, claims []Claim) {
	working, cancel := outlive(ctx, lastWords)
	defer cancel()
	w.contacts = nil
	for i, c := range claims {
		switch {
		case ctx.Err() != nil:
			w.flush(working)
			w.putBack(working, claims[i:], stopping)
			return
		case w.asking.open() || w.posting.open():
			w.flush(working)
			w.putBack(working, claims[i:], errOpen)
			return
		}
		w.one(traced(working, c), c, claims[i:])
		if w.session == nil || len(w.written) >= w.session.Batch() {
			w.flush(working)
		}
	}
	w.flush(working)
}

// stopping is no fault of anybody's.
var stopping = &Failure{Reason: "stopped", Waits: true}

// one sends the first of the claims, or brings it to another end.
func (w *worker) one(ctx context.Context, c Claim, claims []Claim) {
	log := w.log.With("mail.id", c.ID.String(), "mail.kind", string(c.Kind))
	err := w.try(ctx, c, claims)
	switch {
	case err == nil:
		w.written = append(w.written, c)
		return
	case errors.Is(err, ErrGone):
		w.finish(ctx, []End{{c, Dropped, "gone"}})
		return
	}
	w.flush(ctx)
	w.close()
	switch failure := failureOf(err); {
	case errors.Is(err, ErrLeaseLost):
		log.WarnContext(ctx, "another instance has the mail, or it was erased: it is not sent here")
	case failure.Final:
		log.WarnContext(ctx, "the mail can't be sent", logs.Err(failure))
		w.finish(ctx, []End{{c, Failed, failure.Reason}})
	case !failure.Waits && !c.FailingSince.IsZero() && time.Since(c.FailingSince) >= w.settings().GiveUp:
		log.WarnContext(ctx, "the mail could not be sent for too long", logs.Err(failure))
		w.finish(ctx, []End{{c, Failed, "gave-up after " + failure.Reason}})
	default:
		w.putBack(ctx, claims[:1], failure)
	}
}

// flush records what was sent, once it is certain.
func (w *worker) flush(ctx context.Context) {
	written := w.written
	if len(written) == 0 {
		return
	}
	w.written = nil
	ends := make([]End, len(written))
	for i, c := range written {
		ends[i] = End{c, Sent, ""}
	}
	w.finish(ctx, ends)
}

// try makes one attempt. nil says that the mail is out.
func (w *worker) try(ctx context.Context, c Claim, claims []Claim) (err error) {
	if w.used >= sessionMails {
		w.flush(ctx)
		w.close()
	}
	w.used++
	var notAsked error // users has no content for it, which the mail server can't help
	err = w.posting.do(func() error {
		// First the way is made free, so that users doesn't make links for a server that is away.
		if w.session == nil {
			session, err := w.post.Open(ctx)
			if err != nil {
				return err
			}
			w.session = session
		}
		if sent, err := w.session.Sent(c.Mail); sent || err != nil {
			return err
		}
		content, ok := w.ask(ctx, c, claims, &notAsked)
		if !ok {
			return nil
		}
		if c.Doubts > 0 {
			w.metrics.doubts.Inc()
			w.log.WarnContext(ctx, "an earlier attempt may have reached the server: the mail goes out again, under the same Message-ID", "mail.id", c.ID.String(), "mail.kind", string(c.Kind))
		}
		return w.session.Send(ctx, c.Mail, content, func(ctx context.Context, limit time.Duration) error {
			return w.store.Hand(ctx, c, limit+recordMargin)
		})
	})
	if err == nil {
		err = notAsked
	}
	return err
}

// ask has users give what the mail needs, or says why not. For an order's it asks for all those that are still to come.
func (w *worker) ask(ctx context.Context, c Claim, claims []Claim, why *error) (content Content, ok bool) {
	*why = w.asking.do(func() (err error) {
		if !c.Kind.OfOrder() {
			content, err = w.users.Mail(ctx, c.Subject)
			return err
		}
		if w.contacts == nil || time.Since(w.asked) > contactsLife {
			w.asked = time.Now()
			if w.contacts, err = w.users.Contacts(ctx, buyers(claims)); err != nil {
				return err
			}
		}
		if content, ok = w.contacts[c.User]; !ok {
			return ErrGone
		}
		return nil
	})
	return content, *why == nil
}

// buyers are the users of orders' mails, each once.
func buyers(claims []Claim) (users []uuid.UUID) {
	known := map[uuid.UUID]bool{}
	for _, c := range claims {
		if c.Kind.OfOrder() && !known[c.User] && len(users) < MostContacts {
			known[c.User] = true
			users = append(users, c.User)
		}
	}
	return users
}

// after is the wait that follows the attempt that had so many before it, a fifth more or less.
func (s Settings) after(attempts int) time.Duration {
	wait := s.First
	for range attempts {
		if wait >= s.Longest {
			break
		}
		wait *= 2
	}
	wait = min(wait, s.Longest)
	return wait - wait/5 + rand.N(2*wait/5+1)
}

// outlive gives a context that ends a while after ctx does, so that what is half done can be finished.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		pause(longer, by)
		cancel()
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// traced continues the trace of the event that asked for the mail.
func traced(ctx context.Context, c Claim) context.Context {
	if t, ok := logs.ParseTraceparent(c.Traceparent); ok {
		return logs.WithTrace(ctx, t.Child())
	}
	return ctx
}
