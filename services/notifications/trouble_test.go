package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	kafka "souk/internal/events"
	"souk/services/notifications/app"
	"souk/services/notifications/events"
	"souk/services/notifications/mail/mailtest"
)

func usersAway(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	in := b.start(nil)
	var all []kafka.Message
	for _, away := range []func(){
		func() { b.users.away = http.StatusServiceUnavailable },
		func() { b.users.away = http.StatusBadGateway },
		func() { b.users.nowhere = true },
		func() { b.users.away, b.users.nowhere = 0, false },
	} {
		b.users.set(away)
		m := b.asked(uuid.New(), app.VerifyEmail)
		all = append(all, m)
		b.publish(m)
		if b.users.away != 0 || b.users.nowhere {
			before := in.metric(t, "souk_mails_retried_total", "wait")
			b.eventually("it waits", func() bool {
				return b.row(m).Status == app.Queued && in.metric(t, "souk_mails_retried_total", "wait") > before
			})
		}
	}
	for _, m := range all {
		if r := b.ends(m, app.Sent); r.Attempts != 0 {
			t.Errorf("waiting is counted against the mail: %+v", r)
		}
	}
	if n := len(b.smtp.Mails()); n != len(all) {
		t.Errorf("the server has %d mails", n)
	}
}

func gone(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	b.start(nil)
	user, mailID := uuid.New(), uuid.New()
	all := []kafka.Message{
		b.message(0, user, events.MailRequested, `{"mail_id":"`+mailID.String()+`","kind":"verify_email"}`),   // 410
		b.message(0, mailID, events.MailRequested, `{"mail_id":"`+mailID.String()+`","kind":"verify_email"}`), // nobody's
		b.ordered(user, events.OrderConfirmed), // 404
	}
	b.users.erase(user)
	b.publish(all...)
	for i, m := range all {
		if r := b.ends(m, app.Dropped); r.Reason != "gone" || r.Order != nil || (r.User == nil) != (i == 1) {
			t.Errorf("%d: the log has %+v", i, r)
		}
	}
	if n := len(b.smtp.Mails()); n != 0 {
		t.Errorf("the server has %d mails", n)
	}
}

// impostor holds a good certificate of another service.
func impostor(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	b.users = startUsers(t, serverOf(t, p.env, "gateway"))
	in := b.start(nil)
	m := b.asked(uuid.New(), app.VerifyEmail)
	b.publish(m)
	b.eventually("it waits", func() bool {
		return b.row(m).Reason == "users-away" && in.metric(t, "souk_mails_retried_total", "wait") > 1
	})
	if r := b.row(m); r.Status != app.Queued || b.users.links != 0 {
		t.Errorf("the log has %+v; the impostor was asked %v", r, b.users.asked)
	}
}

func refusals(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	in := b.start(nil)
	for what, c := range map[string]struct {
		answers  []error // to one mail after the other; nil takes it
		status   app.Status
		reason   string
		attempts int
	}{
		"greylisted": {[]error{mailtest.Refuse(451, [3]int{4, 7, 1}, "come again"), mailtest.Refuse(421, [3]int{4, 3, 2}, "going down"), nil}, app.Sent, "", 2},
		"unknown":    {[]error{mailtest.Refuse(550, [3]int{5, 1, 1}, "no such user here")}, app.Failed, "recipient-refused 550 5.1.1", 0},
	} {
		var n atomic.Int64
		b.smtp.Set(mailtest.Rules{Rcpt: func(string) error {
			i := int(n.Add(1)) - 1
			if i < len(c.answers) {
				return c.answers[i]
			}
			return nil
		}})
		user := uuid.New()
		m := b.asked(user, app.VerifyEmail)
		b.publish(m)
		if r := b.ends(m, c.status); r.Reason != c.reason || r.Attempts != c.attempts || r.Doubts != 0 {
			t.Errorf("%s: the log has %+v", what, r)
		}
		if int(n.Load()) != len(c.answers) {
			t.Errorf("%s: the server was asked %d times", what, n.Load())
		}
	}
	b.eventually("the metrics say so", func() bool {
		return in.metric(t, "souk_mails_finished_total", "verify_email", "failed") == 1 && in.metric(t, "souk_mails_finished_total", "verify_email", "sent") == 1 &&
			in.metric(t, "souk_mails_retried_total", "verify_email", "mail") == 1 && in.metric(t, "souk_mails_retried_total", "verify_email", "server") == 1
	})
}

func cut(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{Cut: func(n int) bool { return n == 1 }, Data: func(int, mailtest.Mail) (bool, error) { return true, nil }})
	in := b.start(nil)
	user := uuid.New()
	m := b.asked(user, app.ResetPassword)
	b.publish(m)
	if r := b.ends(m, app.Sent); r.Doubts != 1 || r.Attempts != 1 {
		t.Errorf("the log has %+v", r)
	}
	got := b.to(user)
	if len(got) != 2 || got[0].Message(t).Header.Get("Message-Id") != got[1].Message(t).Header.Get("Message-Id") {
		t.Errorf("the server has %d mails, want two of one Message-ID", len(got))
	}
	if n := in.metric(t, "souk_mails_in_doubt_total"); n != 1 {
		t.Errorf("%v doubts are counted", n)
	}
}

func serverDown(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{})
	var asked atomic.Int64
	b.smtp.Set(mailtest.Rules{Mail: func(string) error {
		asked.Add(1)
		return mailtest.Refuse(421, [3]int{4, 3, 2}, "overloaded")
	}})
	in := b.start(nil)
	user := uuid.New()
	var all []kafka.Message
	for range 30 {
		all = append(all, b.asked(user, app.AccountLocked))
	}
	b.publish(all...)
	b.eventually("the circuit opens", func() bool { return in.metric(t, "souk_mails_circuit_open", "mail") == 1 })
	b.eventually("everything is queued", func() bool { return b.row(all[29]).Status == app.Queued })
	time.Sleep(time.Second) // in which every mail would be tried several times
	if n := asked.Load(); n > 2*5 {
		t.Errorf("it was asked %d times", n)
	}
	b.smtp.Set(mailtest.Rules{})
	for _, m := range all {
		b.ends(m, app.Sent)
	}
	if n := len(b.to(user)); n != 30 {
		t.Errorf("the server has %d mails", n)
	}
	b.eventually("the circuit is closed", func() bool { return in.metric(t, "souk_mails_circuit_open", "mail") == 0 })
}

func newPassword(t *testing.T, p *place) {
	vault, err := p.env.Vault()
	if err != nil {
		t.Fatal(err)
	}
	kv := vault.KVv2("secret")
	put := func(password string) {
		t.Helper()
		if _, err := kv.Put(t.Context(), "souk/notifications", map[string]any{"smtp_username": "souk", "smtp_password": password}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := kv.DeleteMetadata(context.Background(), "souk/notifications"); err != nil {
			t.Error(err)
		}
	})
	var password atomic.Value
	password.Store("pa55word-1")
	b := newBench(t, p, mailtest.Rules{Password: func() string { return password.Load().(string) }})
	put("pa55word-1")
	b.start(nil)
	send := func() {
		t.Helper()
		user := uuid.New()
		m := b.asked(user, app.PasswordChanged)
		b.publish(m)
		b.ends(m, app.Sent)
		if got := b.to(user)[0]; got.User != "souk" || !got.TLS {
			t.Errorf("the server had %+v", got)
		}
	}
	send()
	// First the server's, then Vault's: a while in which nothing can be sent, once the
	// session of the mail before has ended.
	password.Store("pa55word-2")
	m := b.asked(uuid.New(), app.PasswordChanged)
	b.publish(m)
	b.eventually("the login is refused", func() bool {
		if b.row(m).Status == app.Sent {
			time.Sleep(100 * time.Millisecond) // without a mail to send, the session ends
			m = b.asked(uuid.New(), app.PasswordChanged)
			b.publish(m)
		}
		return b.row(m).Reason == "login-refused 535"
	})
	put("pa55word-2")
	if r := b.ends(m, app.Sent); r.Attempts == 0 {
		t.Errorf("the log has %+v", r)
	}
	send()
}

func givenUp(t *testing.T, p *place) {
	b := newBench(t, p, mailtest.Rules{Rcpt: func(string) error { return mailtest.Refuse(450, [3]int{4, 2, 2}, "mailbox busy") }})
	b.sending.GiveUp = 300 * time.Millisecond
	b.start(nil)
	m := b.asked(uuid.New(), app.VerifyEmail)
	b.publish(m)
	if r := b.ends(m, app.Failed); r.Reason != "gave-up after recipient-refused 450 4.2.2" || r.Attempts < 1 {
		t.Errorf("the log has %+v", r)
	}
}
