package mail

import (
	"context"
	"net"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"souk/services/notifications/app"
)

// session is a connection to an SMTP server, logged in.
//
// Exactly once is more than SMTP can give. Between the server's 250 for a mail and our commit there is a window: who
// crashes in it, or loses the connection while the 250 is under way, cannot know that the mail is out, and sends it
// again. All else is closed: the lease is confirmed right before DATA, so two instances never send the same mail; the
// server's word is waited for as long as RFC 5321 says; a mail that is refused in any reply is not out. A repetition
// has the same Message-ID, by which servers and mail programs recognise it, and is counted (souk_mails_in_doubt_total).
type session struct {
	settings Settings
	conn     net.Conn // below STARTTLS
	client   *smtp.Client
	broken   bool
	refused  func() // the login
}

// Sent implements app.Session: no server can be asked that.
func (s *session) Sent(app.Mail) (bool, error) { return false, nil }

// Batch implements app.Session: what is not recorded goes out again.
func (s *session) Batch() int { return 1 }

// Send implements app.Session.
func (s *session) Send(ctx context.Context, m app.Mail, c app.Content, hand func(context.Context, time.Duration) error) (err error) {
	text, err := compose(s.settings.From, m, c)
	if err != nil {
		return err
	}
	s.broken = true // until all of it has gone well
	defer context.AfterFunc(ctx, func() { _ = s.conn.Close() })()

	if err := s.command(func() error { return s.client.Mail(s.settings.From.Address) }); err != nil {
		if loginRefused(err) {
			s.refused()
		}
		return explain(ofSender, err)
	}
	if err := s.command(func() error { return s.client.Rcpt(c.To) }); err != nil {
		return explain(ofRecipient, err)
	}
	if err := hand(ctx, 2*s.settings.Timeout+s.settings.ReplyTimeout); err != nil {
		return err
	}
	err = s.command(func() error {
		body, err := s.client.Data()
		if err != nil {
			return err
		}
		if err := s.within(s.settings.Timeout); err != nil {
			return err
		}
		if _, err = body.Write(text); err != nil { // the final dot was not sent: it is no mail yet
			return err
		}
		if err := s.within(s.settings.ReplyTimeout); err != nil {
			return err
		}
		return handedOver{body.Close()}.orNil()
	})
	if err != nil {
		return explain(ofMessage, err)
	}
	s.broken = false
	return nil
}

// command bounds one.
func (s *session) command(do func() error) error {
	if err := s.within(s.settings.Timeout); err != nil {
		return err
	}
	return do()
}

func (s *session) within(d time.Duration) error { return s.conn.SetDeadline(time.Now().Add(d)) }

// quitLimit keeps a slow goodbye from holding up the mails of others.
const quitLimit = time.Second

// Close says goodbye, unless the connection is in the middle of something: QUIT would end a half-sent mail as if it
// were whole.
func (s *session) Close() {
	if s.conn == nil {
		return
	}
	if !s.broken && s.within(quitLimit) == nil {
		_ = s.client.Quit()
	}
	_ = s.conn.Close()
}
