package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	kafka "souk/internal/events"
	"souk/internal/inbox"
	"souk/internal/postgres"
	"souk/services/notifications/app"
	"souk/services/notifications/events"
	"souk/services/notifications/mail/mailtest"
)

func (b *bench) erased(user uuid.UUID) kafka.Message {
	return b.message(0, user, events.UserErased, fmt.Sprintf(`{"user_id":%q}`, user))
}

func erasure(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	b.settings.Host = ""
	in := b.start(nil)
	user, other := uuid.New(), uuid.New()
	sent := []kafka.Message{b.asked(user, app.VerifyEmail), b.ordered(user, events.OrderConfirmed)}
	others := []kafka.Message{b.asked(other, app.VerifyEmail), b.ordered(other, events.OrderConfirmed)}
	b.publish(append(sent, others...)...)
	for _, m := range append(sent, others...) {
		b.ends(m, app.Sent)
	}
	if n := len(b.files()); n != 4 {
		t.Fatalf("there are %d files", n)
	}
	b.users.set(func() { b.users.away = http.StatusServiceUnavailable })
	queued := b.ordered(user, events.OrderRefunded)
	b.publish(queued)
	b.eventually("it waits", func() bool { return b.row(queued).Status == app.Queued })

	b.publish(b.erased(user), b.erased(user))
	if r := b.ends(queued, app.Dropped); r.Reason != "erased" || r.User != nil || r.Order != nil {
		t.Errorf("what was queued is %+v", r)
	}
	b.eventually("the user's files are gone", func() bool { return len(b.files()) == 2 })
	for _, m := range sent {
		if r := b.row(m); r.Status != app.Sent || r.User != nil || r.Order != nil {
			t.Errorf("the log keeps %+v", r)
		}
	}
	for _, m := range others {
		if r := b.row(m); r.User == nil || *r.User != other {
			t.Errorf("the log of somebody else has %+v", r)
		}
	}
	// An order's event may come after the user's.
	b.users.set(func() { b.users.away = 0 })
	late := b.ordered(user, events.OrderCancelled)
	b.users.erase(user)
	b.publish(late)
	b.ends(late, app.Dropped)
	if n := len(b.files()); n != 2 {
		t.Errorf("there are %d files", n)
	}
	in.stop()
	// Erased while nobody was there to delete the file.
	err := postgres.Tx(t.Context(), b.pool, func(tx pgx.Tx) error { return b.store.Erase(context.Background(), tx, other) })
	if err != nil {
		t.Fatal(err)
	}
	exec(t, b.pool, "UPDATE mails SET erased_at = erased_at - interval '1 month' WHERE erased_at IS NOT NULL")
	b.start(nil)
	b.eventually("those files are gone too", func() bool { return len(b.files()) == 0 })
}

func erasedUnderWay(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	b.settings.Host = ""
	hold := make(chan struct{})
	b.users.set(func() { b.users.hold = hold })
	b.start(nil)
	user := uuid.New()
	m := b.asked(user, app.VerifyEmail)
	b.publish(m, b.erased(user))
	b.ends(m, app.Dropped) // while users is still being asked for its content
	close(hold)
	next := b.asked(uuid.New(), app.VerifyEmail)
	b.publish(next)
	b.ends(next, app.Sent)
	b.eventually("only the other one's file is there", func() bool { return len(b.files()) == 1 })
	time.Sleep(100 * time.Millisecond) // for a file that should not come
	if names := b.files(); len(names) != 1 {
		t.Errorf("there are %v", names)
	}
}

func poison(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	b.start(nil)
	user := uuid.New()
	id := uuid.NewString()
	var bad []kafka.Message
	for _, data := range []string{``, `{`, `[]`, `{}`, `{"mail_id":"` + id + `"}`, `{"mail_id":"` + id + `","kind":"advertisement"}`, `{"mail_id":7,"kind":"verify_email"}`} {
		bad = append(bad, b.message(0, uuid.New(), events.MailRequested, data))
	}
	order := func(change string) string {
		return `{"order_id":"` + id + `","user_id":"` + id + `","number":"S-7","total":{"amount":1,"currency":"EUR"},"lines":[]` + change + `}`
	}
	for _, data := range []string{`{}`, order(`,"number":"again"`), order(`,"refund":{"amount":1}`), order(`,"refund":{"amount":1.5,"currency":"EUR"}`), order(`,"reason":7`)} {
		bad = append(bad, b.message(1, uuid.New(), events.OrderConfirmed, data))
	}
	bad = append(bad, b.message(0, uuid.New(), events.UserErased, `{"user_id":null}`))
	b.publish(bad...)
	good := []kafka.Message{b.asked(user, app.VerifyEmail), b.ordered(user, events.OrderConfirmed), b.message(0, user, "souk.users.user.registered.v1", `not for us`), b.asked(user, app.PasswordChanged)}
	b.publish(good...)
	b.ends(good[0], app.Sent)
	b.ends(good[1], app.Sent)
	b.ends(good[3], app.Sent)
	b.eventually("all of them are parked", func() bool {
		keys, err := inbox.List(t.Context(), b.pool, inbox.Filter{Group: b.group})
		if err != nil {
			t.Fatal(err)
		}
		return len(keys) == len(bad)
	})
	for _, m := range bad {
		if r := b.row(m); r.Status != "" {
			t.Errorf("%s is a mail: %+v", m.Event.Data(), r)
		}
	}
	// Texts that no column takes are no reason to park an order's mail.
	odd := b.message(1, uuid.New(), events.OrderConfirmed, `{"order_id":"`+uuid.NewString()+`","user_id":"`+user.String()+`","number":"S-\u0000\r\n8","total":{"amount":1,"currency":"EUR"},"lines":[{"sku":"\u0000","name":"a\u202e\u0000","quantity":1,"total":{"amount":1,"currency":"EUR"}}]}`)
	b.publish(odd)
	b.ends(odd, app.Sent)
}
