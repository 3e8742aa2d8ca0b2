package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	kafka "souk/internal/events"
	"souk/services/notifications/app"
	"souk/services/notifications/events"
	"souk/services/notifications/mail/mailtest"
)

// to counts the mails that the server has for a user.
func (b *bench) to(user uuid.UUID) (mails []mailtest.Mail) {
	for _, m := range b.smtp.Mails() {
		if m.To == addressOf(user) {
			mails = append(mails, m)
		}
	}
	return mails
}

func oneMail(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	b.start(nil)
	b.start(nil)
	user := uuid.New()
	event := b.asked(user, app.VerifyEmail)
	for range 5 {
		b.publish(event)
	}
	last := b.asked(user, app.PasswordChanged) // of the same key: when it is through, so are those before
	b.publish(last)
	b.ends(event, app.Sent)
	b.ends(last, app.Sent)
	if got := b.to(user); len(got) != 2 {
		t.Errorf("the server has %d mails, want one an event", len(got))
	}
}

func shared(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	user := uuid.New()
	const n = 100
	var all []kafka.Message
	for range n {
		all = append(all, b.asked(user, app.AccountLocked))
	}
	b.publish(all...)
	one, other := b.start(nil), b.start(nil)
	for _, m := range all {
		b.ends(m, app.Sent)
	}
	ids := map[string]int{}
	for _, m := range b.to(user) {
		ids[m.Message(t).Header.Get("Message-Id")]++
	}
	if len(ids) != n || len(b.to(user)) != n {
		t.Errorf("%d mails of %d Message-IDs, want %d", len(b.to(user)), len(ids), n)
	}
	if sent := one.metric(t, "souk_mails_finished_total", "sent") + other.metric(t, "souk_mails_finished_total", "sent"); sent != n {
		t.Errorf("the metrics say %v", sent)
	}
	b.eventually("the queue is empty for the metrics", func() bool {
		return one.metric(t, "souk_mails_queued") == 0 && one.metric(t, "souk_mails_oldest_seconds") == 0
	})
}

func kinds(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	b.start(nil)
	for _, kind := range app.AccountKinds() {
		user := uuid.New()
		event := b.asked(user, kind)
		b.publish(event)
		b.ends(event, app.Sent)
		header := b.to(user)[0].Message(t).Header
		if header.Get("Content-Language") != "de" || header.Get("Message-Id") != "<"+idOf(event).String()+"@souk.example>" || header.Get("List-Id") != "<account.souk.example>" {
			t.Errorf("%s: %v", kind, header)
		}
	}
	for kind, subject := range map[string]string{events.OrderConfirmed: "Your order S-7 is confirmed", events.OrderCancelled: "Your order S-7 was cancelled", events.OrderRefunded: "Refund for your order S-7", events.OrderFailed: "Your order S-7 could not be completed"} {
		user := uuid.New()
		event := b.ordered(user, kind)
		b.publish(event)
		if r := b.ends(event, app.Sent); r.Order != nil || r.User == nil || *r.User != user {
			t.Errorf("%s: the log has %+v", kind, r)
		}
		if got := b.to(user)[0].Message(t).Header; got.Get("Subject") != subject {
			t.Errorf("%s: %v", kind, got)
		}
	}
	if users := b.smtp.Mails(); len(users) != 9 {
		t.Errorf("the server has %d", len(users))
	}
	// users may know better by now: somebody has confirmed the address since.
	user := uuid.New()
	event := b.asked(user, app.VerifyEmail)
	b.users.set(func() {
		for id, owner := range b.users.owners {
			if owner == user {
				b.users.mails[id] = app.AccountExists
			}
		}
	})
	b.publish(event)
	b.ends(event, app.Sent)
	if subject := b.to(user)[0].Message(t).Header.Get("Subject"); !strings.Contains(subject, "bereits ein Konto") {
		t.Errorf("the subject is %s", subject)
	}
}

// forgetful loses what became of the first mail, as an instance does that is killed between sending and recording.
type forgetful struct {
	app.Store
	lost atomic.Bool
}

func (f *forgetful) Finish(ctx context.Context, ends []app.End) (map[uuid.UUID]bool, error) {
	if f.lost.CompareAndSwap(false, true) {
		return nil, nil // whatever it returns, nobody is there to hear it
	}
	return f.Store.Finish(ctx, ends)
}

func lostRecord(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	forgets := &forgetful{}
	killed := b.start(func(s app.Store) app.Store { forgets.Store = s; return forgets })
	user := uuid.New()
	event := b.asked(user, app.VerifyEmail)
	b.publish(event)
	b.eventually("it is sent and not recorded", forgets.lost.Load)
	killed.stop()
	if r := b.row(event); r.Status != app.Queued || len(b.to(user)) != 1 {
		t.Fatalf("the log has %+v, the server %d", r, len(b.to(user)))
	}
	next := b.start(nil)
	b.leaseEnds()
	if r := b.ends(event, app.Sent); r.Doubts != 1 || r.Attempts != 0 {
		t.Errorf("the log has %+v", r)
	}
	got := b.to(user)
	if len(got) != 2 || got[0].Message(t).Header.Get("Message-Id") != got[1].Message(t).Header.Get("Message-Id") {
		t.Errorf("the server has %d mails, want two of one Message-ID", len(got))
	}
	if n := next.metric(t, "souk_mails_in_doubt_total"); n != 1 {
		t.Errorf("%v doubts are counted", n)
	}
}

func (b *bench) files() []string {
	b.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil && !os.IsNotExist(err) {
		b.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".eml") {
			names = append(names, e.Name())
		}
	}
	return names
}

func lostRecordOfFile(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	b.settings.Host = ""
	forgets := &forgetful{}
	killed := b.start(func(s app.Store) app.Store { forgets.Store = s; return forgets })
	event := b.asked(uuid.New(), app.VerifyEmail)
	b.publish(event)
	b.eventually("it is written and not recorded", forgets.lost.Load)
	killed.stop()
	before, err := os.ReadFile(filepath.Join(b.dir, b.files()[0]))
	if err != nil {
		t.Fatal(err)
	}
	b.start(nil)
	b.leaseEnds()
	b.ends(event, app.Sent)
	names := b.files()
	if want := event.Event.Time().UTC().Truncate(time.Millisecond).Format("20060102T150405.000Z") + "-verify_email-" + idOf(event).String() + ".eml"; len(names) != 1 || names[0] != want {
		t.Fatalf("there are %v, want %s", names, want)
	}
	if after, err := os.ReadFile(filepath.Join(b.dir, names[0])); err != nil || string(after) != string(before) {
		t.Errorf("it was written again: %v", err)
	}
	if b.users.links != 1 {
		t.Errorf("users made %d links", b.users.links)
	}
}

func stopped(t *testing.T, p *place) {
	began, release := make(chan struct{}), make(chan struct{})
	b := newBench(t, p, mailtest.Rules{Data: func(n int, _ mailtest.Mail) (bool, error) {
		if n == 1 {
			close(began)
			<-release
		}
		return true, nil
	}})
	user := uuid.New()
	event := b.asked(user, app.PasswordChanged)
	first := b.start(nil)
	b.publish(event)
	select {
	case <-began:
	case <-time.After(30 * time.Second):
		t.Fatal("it is never sent")
	}
	go func() {
		time.Sleep(200 * time.Millisecond) // it is being stopped by then; whether or not, it may finish
		close(release)
	}()
	first.stop()
	if r := b.row(event); r.Status != app.Sent || len(b.to(user)) != 1 {
		t.Errorf("what was under way became %+v, the server has %d", r, len(b.to(user)))
	}
	waits := b.asked(user, app.PasswordChanged)
	b.publish(waits)
	b.start(nil)
	b.ends(waits, app.Sent)
	if len(b.to(user)) != 2 {
		t.Errorf("the server has %d", len(b.to(user)))
	}
}
