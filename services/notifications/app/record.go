package app

import (
	"context"
	"math/rand/v2"
	"time"

	"souk/internal/logs"
)

// recordMargin is what a lease still has after the longest handing over, to record it.
const recordMargin = 15 * time.Second

// finish records ends. A mail that is out and not recorded would be sent again when its lease ends, so it tries as long as
// that lasts.
func (w *worker) finish(ctx context.Context, ends []End) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordMargin)
	defer cancel()
	for {
		lost, err := w.store.Finish(ctx, ends)
		switch {
		case err == nil:
			for _, e := range ends {
				w.finished(ctx, e, lost[e.ID])
			}
			w.log.InfoContext(ctx, "mails have ended", "event.action", "mails-ended", "mails.count", len(ends)-len(lost), "mails.status", string(ends[0].Status))
			return
		case ctx.Err() != nil:
			for _, e := range ends {
				w.log.ErrorContext(ctx, "what became of a mail could not be recorded", "mail.id", e.ID.String(), "mail.status", string(e.Status), logs.Err(err))
			}
			return
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// finished tells of one. The table has what became of each; the log's many lines would cost more than the mails.
func (w *worker) finished(ctx context.Context, e End, lost bool) {
	if lost { // erased meanwhile; or another instance records it, after a lease too short
		w.log.WarnContext(ctx, "the end of a mail is not recorded here", "mail.id", e.ID.String(), "mail.status", string(e.Status))
		return
	}
	w.metrics.finish(e.Claim, e.Status)
	if e.Status != Sent {
		w.log.InfoContext(traced(ctx, e.Claim), "mail "+string(e.Status), "event.action", "mail-"+string(e.Status), "mail.id", e.ID.String(), "mail.kind", string(e.Kind), "event.reason", e.Reason)
	}
}

// waitAgain is when a mail is due again that had to wait for a server whose circuit watches over it.
const waitAgain = time.Second

// putBackLimit keeps a stop short; the lease's end does the same, later.
const putBackLimit = 2 * time.Second

// putBack has claims be due again, all for one reason.
func (w *worker) putBack(ctx context.Context, claims []Claim, f *Failure) {
	r := Retry{After: waitAgain + rand.N(waitAgain), Reason: f.Reason, Counts: !f.Waits, InDoubt: f.InDoubt}
	switch {
	case f == stopping:
		r.After = 0
	case r.Counts:
		r.After = w.settings().after(claims[0].Attempts)
	}
	cause := "mail"
	switch {
	case f.Waits:
		cause = "wait"
	case f.Down:
		cause = "server"
	}
	for _, c := range claims {
		w.metrics.retried.WithLabelValues(string(c.Kind), cause).Inc()
		if f != errOpen && f != stopping {
			w.log.WarnContext(traced(ctx, c), "the mail is tried again", "mail.id", c.ID.String(), "mail.kind", string(c.Kind), "mail.attempts", c.Attempts, "mail.retry_after", r.After.String(), logs.Err(f))
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putBackLimit)
	defer cancel()
	if err := w.store.Retry(ctx, claims, r); err != nil {
		w.log.WarnContext(ctx, "mails wait for the end of their lease", "mails.count", len(claims), logs.Err(err))
	}
}
