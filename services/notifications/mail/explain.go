package mail

import (
	"errors"
	"fmt"
	"net/textproto"
	"regexp"

	"souk/services/notifications/app"
)

// stage of a dialogue with an SMTP server.
type stage string

const (
	connecting  stage = "connection"
	ofSender    stage = "sender"
	ofRecipient stage = "recipient"
	ofMessage   stage = "message"
)

// handedOver marks what came back after the whole mail was sent.
type handedOver struct{ err error }

func (h handedOver) Error() string { return h.err.Error() }
func (h handedOver) Unwrap() error { return h.err }

func (h handedOver) orNil() error {
	if reply := replyIn(h.err); h.err == nil || reply != nil && reply.Code/100 == 2 {
		return nil
	}
	return h
}

// Replies that are about who we are (RFC 4954, section 6; RFC 5321, section 3.8).
const (
	closing          = 421
	loginRequired    = 530
	loginTooWeak     = 534
	loginInvalid     = 535
	permanentFailure = 5 // first digit
)

func replyIn(err error) *textproto.Error {
	reply := (*textproto.Error)(nil)
	errors.As(err, &reply)
	return reply
}

// loginRefused: with other credentials it may work.
func loginRefused(err error) bool {
	reply := replyIn(err)
	return reply != nil && (reply.Code == loginRequired || reply.Code == loginTooWeak || reply.Code == loginInvalid)
}

var (
	enhanced  = regexp.MustCompile(`\b[245]\.\d{1,3}\.\d{1,3}\b`) // RFC 3463
	addresses = regexp.MustCompile(`[^\s<>"']*@[^\s<>"']*`)
)

// explain says what an error means for the mail. What a server says may hold the address, so that only its numbers
// are kept, and its text is logged without.
func explain(at stage, err error) *app.Failure {
	reply := replyIn(err)
	if reply == nil {
		whole := handedOver{}
		return &app.Failure{Reason: string(at) + "-lost", Said: anonymous(err.Error()), Down: true, InDoubt: errors.As(err, &whole)}
	}
	f := &app.Failure{Reason: fmt.Sprintf("%s-refused %d", at, reply.Code), Said: anonymous(reply.Msg)}
	if code := enhanced.FindString(reply.Msg); code != "" {
		f.Reason += " " + code
	}
	switch {
	case loginRefused(err):
		f.Reason, f.Down = fmt.Sprintf("login-refused %d", reply.Code), true
	case at == connecting, at == ofSender, reply.Code == closing:
		f.Down = true // whatever the mail, it would be the same
	case reply.Code/100 == permanentFailure:
		f.Final = true
	}
	return f
}

func anonymous(text string) string {
	return app.OneLine(addresses.ReplaceAllString(text, "<address>"), 200)
}
