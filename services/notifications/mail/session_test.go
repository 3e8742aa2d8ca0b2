package mail

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"souk/services/notifications/app"
	"souk/services/notifications/mail/mailtest"
)

// known are credentials that Vault is not asked for.
func known(username, password string) *Credentials {
	return &Credentials{known: true, asked: time.Now(), login: login{username, password}}
}

func settings(s *mailtest.Server, kind TLS) Settings {
	out := Settings{Host: s.Host, Port: s.Port, TLS: kind, From: sender(), Timeout: 2 * time.Second, ReplyTimeout: 2 * time.Second}
	if s.Roots != nil {
		out.TLSConfig = rooted(s.Roots)
	}
	return out
}

func noHand(context.Context, time.Duration) error { return nil }

// send opens a session and sends one mail.
func send(t *testing.T, s Settings, credentials *Credentials) error {
	t.Helper()
	session, err := dial(t.Context(), s, credentials)
	if err != nil {
		return err
	}
	defer session.Close()
	m, c := accountMail(app.VerifyEmail)
	return session.Send(t.Context(), m, c, noHand)
}

func want(t *testing.T, err error, w app.Failure) {
	t.Helper()
	got := (*app.Failure)(nil)
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want %v", err, w)
	}
	if !strings.HasPrefix(got.Reason, w.Reason) || got.Final != w.Final || got.Down != w.Down || got.InDoubt != w.InDoubt || got.Waits != w.Waits {
		t.Errorf("got %+v, want %+v", *got, w)
	}
	if strings.Contains(got.Error(), "@") || strings.Contains(got.Reason, "ada") || strings.Contains(got.Error(), "smv_") {
		t.Errorf("it tells the address or the link: %v", got)
	}
}

func TestAMailGoesOutByEachKindOfTLS(t *testing.T) {
	for kind, offer := range map[TLS][2]bool{Mandatory: {true, false}, Opportunistic: {true, false}, Implicit: {false, true}, None: {false, false}} {
		t.Run(string(kind), func(t *testing.T) {
			s := mailtest.Start(t, mailtest.Rules{}, offer[0], offer[1])
			if err := send(t, settings(s, kind), known("", "")); err != nil {
				t.Fatal(err)
			}
			mails := s.Mails()
			if len(mails) != 1 || mails[0].TLS != (kind != None) || mails[0].From != "no-reply@souk.example" || mails[0].To != "ada@example.com" {
				t.Fatalf("the server has %+v", mails)
			}
			if got := parse(t, mails[0].Text); !strings.Contains(got.text, link) || got.header.Get("Date") == "" {
				t.Errorf("the server has %+v", got)
			}
		})
	}
}

func TestPasswordsGoOverTLSOnly(t *testing.T) {
	rules := mailtest.Rules{Password: func() string { return "pa55" }}
	for _, kind := range []TLS{Mandatory, Implicit} {
		s := mailtest.Start(t, rules, kind == Mandatory, kind == Implicit)
		if err := send(t, settings(s, kind), known("souk", "pa55")); err != nil || s.Mails()[0].User != "souk" {
			t.Errorf("%s: %v, %v", kind, err, s.Mails())
		}
	}
	s := mailtest.Start(t, rules, false, false)
	want(t, send(t, settings(s, None), known("souk", "pa55")), app.Failure{Reason: "connection-lost", Down: true})
	if s.Logins() != 0 {
		t.Error("the password was told in the clear")
	}
}

func TestAServerWithoutTheTLSThatIsWantedGetsNothing(t *testing.T) {
	plain := mailtest.Start(t, mailtest.Rules{}, false, false)
	want(t, send(t, settings(plain, Mandatory), known("", "")), app.Failure{Reason: "connection-lost", Down: true})
	want(t, send(t, settings(plain, Implicit), known("", "")), app.Failure{Reason: "connection-lost", Down: true})
	for _, kind := range []TLS{Mandatory, Opportunistic} {
		other := mailtest.Start(t, mailtest.Rules{}, true, false)
		s := settings(other, kind)
		s.TLSConfig = nil // the system's roots don't know it
		want(t, send(t, s, known("", "")), app.Failure{Reason: "connection-lost", Down: true})
		if len(other.Mails()) != 0 {
			t.Error("a server that could not show who it is has a mail")
		}
	}
	if len(plain.Mails()) != 0 {
		t.Error("a mail went out in the clear")
	}
}

func TestWhatAServerSaysDecides(t *testing.T) {
	refuse := func(code, class int) func(string) error {
		return func(to string) error {
			return mailtest.Refuse(code, [3]int{class, 1, 1}, "<"+to+"> not today, ada@example.com")
		}
	}
	data := func(code, class int) func(int, mailtest.Mail) (bool, error) {
		return func(int, mailtest.Mail) (bool, error) { return false, refuse(code, class)("ada@example.com") }
	}
	for what, c := range map[string]struct {
		rules mailtest.Rules
		want  app.Failure
	}{
		"sender, for now":    {mailtest.Rules{Mail: refuse(451, 4)}, app.Failure{Reason: "sender-refused 451 4.1.1", Down: true}},
		"sender, for good":   {mailtest.Rules{Mail: refuse(550, 5)}, app.Failure{Reason: "sender-refused 550 5.1.1", Down: true}},
		"greylisting":        {mailtest.Rules{Rcpt: refuse(451, 4)}, app.Failure{Reason: "recipient-refused 451 4.1.1"}},
		"no such mailbox":    {mailtest.Rules{Rcpt: refuse(550, 5)}, app.Failure{Reason: "recipient-refused 550 5.1.1", Final: true}},
		"going down":         {mailtest.Rules{Rcpt: refuse(421, 4)}, app.Failure{Reason: "recipient-refused 421 4.1.1", Down: true}},
		"disk full":          {mailtest.Rules{Data: data(452, 4)}, app.Failure{Reason: "message-refused 452 4.1.1"}},
		"content refused":    {mailtest.Rules{Data: data(554, 5)}, app.Failure{Reason: "message-refused 554 5.1.1", Final: true}},
		"going down at DATA": {mailtest.Rules{Data: data(421, 4)}, app.Failure{Reason: "message-refused 421 4.1.1", Down: true}},
		"cut before 250":     {mailtest.Rules{Cut: func(int) bool { return true }, Data: func(int, mailtest.Mail) (bool, error) { return true, nil }}, app.Failure{Reason: "message-lost", Down: true, InDoubt: true}},
	} {
		t.Run(what, func(t *testing.T) {
			s := mailtest.Start(t, c.rules, true, false)
			want(t, send(t, settings(s, Mandatory), known("", "")), c.want)
		})
	}
}

func TestAServerThatIsSilentDoesNotHoldASenderForEver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody accepts: the kernel does
	for _, kind := range []TLS{Mandatory, Implicit, None} {
		s := Settings{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, TLS: kind, From: sender(), Timeout: 100 * time.Millisecond, ReplyTimeout: time.Second}
		want(t, send(t, s, known("", "")), app.Failure{Reason: "connection-lost", Down: true})
	}
}

func TestASlowReplyIsWaitedForAndThenInDoubt(t *testing.T) {
	release := make(chan struct{})
	s := mailtest.Start(t, mailtest.Rules{Data: func(int, mailtest.Mail) (bool, error) {
		select {
		case <-release:
		case <-time.After(300 * time.Millisecond):
		}
		return true, nil
	}}, false, false)
	patient := settings(s, None)
	patient.Timeout = 100 * time.Millisecond // of commands: shorter than the reply takes
	if err := send(t, patient, known("", "")); err != nil {
		t.Errorf("a slow reply: %v", err)
	}
	hasty := patient
	hasty.ReplyTimeout = 50 * time.Millisecond
	want(t, send(t, hasty, known("", "")), app.Failure{Reason: "message-lost", Down: true, InDoubt: true})
	close(release)
}

func TestWhatMayNotBeHandedOverIsNot(t *testing.T) {
	s := mailtest.Start(t, mailtest.Rules{}, false, false)
	session, err := dial(t.Context(), settings(s, None), known("", ""))
	if err != nil {
		t.Fatal(err)
	}
	m, c := accountMail(app.VerifyEmail)
	err = session.Send(t.Context(), m, c, func(context.Context, time.Duration) error { return app.ErrLeaseLost })
	session.Close()
	if !errors.Is(err, app.ErrLeaseLost) || len(s.Mails()) != 0 {
		t.Errorf("%v, and the server has %v", err, s.Mails())
	}
}

func TestOneSessionTakesManyMails(t *testing.T) {
	s := mailtest.Start(t, mailtest.Rules{}, true, false)
	session, err := dial(t.Context(), settings(s, Mandatory), known("", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	m, c := accountMail(app.VerifyEmail)
	for range 10 {
		if err := session.Send(t.Context(), m, c, noHand); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Mails()); n != 10 {
		t.Errorf("the server has %d", n)
	}
}
