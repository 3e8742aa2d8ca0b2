package app

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"souk/internal/logs"
)

// worker sends one mail at a time.
type worker struct {
	*Sender
	session Session // nil: none is open
	used    int     // how often it was
}

// sessionMails is how many mails go over one session; servers have limits of their own, usually higher ones.
const sessionMails = 50

func (w *worker) close() {
	if w.session != nil {
		w.session.Close()
		w.session, w.used = nil, 0
	}
}

// deliver brings a claimed mail to an end, or puts it back. When ctx ends, what has begun may still end well.
func (w *worker) deliver(ctx context.Context, c Claim) {
	ctx, cancel := outlive(traced(ctx, c), lastWords)
	defer cancel()
	log := w.log.With("mail.id", c.ID.String(), "mail.kind", string(c.Kind))
	err := w.try(ctx, c)
	switch {
	case err == nil:
		w.finish(ctx, c, Sent, "")
		return
	case errors.Is(err, ErrGone):
		w.finish(ctx, c, Dropped, "gone")
		return
	}
	w.close()
	switch failure := failureOf(err); {
	case errors.Is(err, ErrLeaseLost):
		log.WarnContext(ctx, "another instance has the mail, or it was erased: it is not sent here")
	case failure.Final:
		log.WarnContext(ctx, "the mail can't be sent", logs.Err(failure))
		w.finish(ctx, c, Failed, failure.Reason)
	case !failure.Waits && !c.FailingSince.IsZero() && time.Since(c.FailingSince) >= w.settings().GiveUp:
		log.WarnContext(ctx, "the mail could not be sent for too long", logs.Err(failure))
		w.finish(ctx, c, Failed, "gave-up after "+failure.Reason)
	default:
		w.putBack(ctx, c, failure)
	}
}

// try makes one attempt. nil says that the mail is out.
func (w *worker) try(ctx context.Context, c Claim) (err error) {
	if w.used >= sessionMails {
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
		content, ok := w.ask(ctx, c, &notAsked)
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

// ask has users give what the mail needs, or says why not.
func (w *worker) ask(ctx context.Context, c Claim, why *error) (content Content, ok bool) {
	*why = w.asking.do(func() (err error) {
		if c.Kind.OfOrder() {
			content, err = w.users.Contact(ctx, c.User)
		} else {
			content, err = w.users.Mail(ctx, c.Subject)
		}
		return err
	})
	return content, *why == nil
}

// recordMargin is what a lease still has after the longest handing over, to record it.
const recordMargin = 15 * time.Second

// finish records the end. A mail that is out and not recorded would be sent again when its lease ends, so it tries as
// long as that lasts.
func (w *worker) finish(ctx context.Context, c Claim, status Status, reason string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordMargin)
	defer cancel()
	for {
		err := w.store.Finish(ctx, c, status, reason)
		switch {
		case err == nil:
			w.metrics.finish(c, status)
			w.log.InfoContext(ctx, "mail "+string(status), "event.action", "mail-"+string(status), "mail.id", c.ID.String(), "mail.kind", string(c.Kind), "event.reason", reason)
			return
		case errors.Is(err, ErrLeaseLost): // erased meanwhile; or another instance records it, after a lease too short
			w.log.WarnContext(ctx, "the end of a mail is not recorded here", "mail.id", c.ID.String(), "mail.status", string(status))
			return
		case ctx.Err() != nil:
			w.log.ErrorContext(ctx, "what became of a mail could not be recorded", "mail.id", c.ID.String(), "mail.status", string(status), logs.Err(err))
			return
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// waitAgain is when a mail is due again that had to wait for a server whose circuit watches over it.
const waitAgain = time.Second

// putBackLimit keeps a stop short; the lease's end does the same, later.
const putBackLimit = 2 * time.Second

func (w *worker) putBack(ctx context.Context, c Claim, f *Failure) {
	r := Retry{After: waitAgain + rand.N(waitAgain), Reason: f.Reason, Counts: !f.Waits, InDoubt: f.InDoubt}
	if r.Counts {
		r.After = w.settings().after(c.Attempts)
	}
	cause := "mail"
	switch {
	case f.Waits:
		cause = "wait"
	case f.Down:
		cause = "server"
	}
	w.metrics.retried.WithLabelValues(string(c.Kind), cause).Inc()
	if f != errOpen {
		w.log.WarnContext(ctx, "the mail is tried again", "mail.id", c.ID.String(), "mail.kind", string(c.Kind), "mail.attempts", c.Attempts, "mail.retry_after", r.After.String(), logs.Err(f))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putBackLimit)
	defer cancel()
	if err := w.store.Retry(ctx, c, r); err != nil && !errors.Is(err, ErrLeaseLost) {
		w.log.WarnContext(ctx, "the mail waits for the end of its lease", "mail.id", c.ID.String(), logs.Err(err))
	}
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
