package mail

import (
	"bytes"
	netmail "net/mail"
	"net/url"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"souk/services/notifications/app"
)

// maxName of a recipient in characters; longer ones are cut.
const maxName = 64

// compose makes the whole message (RFC 5322), text and HTML as alternatives, in lines of ASCII. Errors are final: no
// other attempt would make a better message of the same content.
func compose(from netmail.Address, m app.Mail, c app.Content) ([]byte, error) {
	if !m.Kind.OfOrder() && c.Kind != "" {
		m.Kind = c.Kind
	}
	switch {
	case !m.Kind.Known():
		return nil, &app.Failure{Reason: "unknown-kind", Final: true}
	case !goodAddress(c.To):
		return nil, &app.Failure{Reason: "bad-address", Final: true}
	case m.Kind.HasLink() && !goodLink(c.Link):
		return nil, &app.Failure{Reason: "bad-link", Final: true}
	case m.Kind.OfOrder() && m.Order == nil:
		return nil, &app.Failure{Reason: "no-order", Final: true}
	}
	if !goodLink(c.Link) {
		c.Link = ""
	}
	c.Name = app.OneLine(c.Name, maxName)
	r, err := render(m, c)
	if err != nil {
		return nil, &app.Failure{Reason: "bad-content", Final: true}
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	msg.FromMailAddress(&from)
	msg.ToMailAddress(&netmail.Address{Name: c.Name, Address: c.To})
	msg.Subject(r.subject)
	msg.SetDateWithValue(time.Now())
	// The same in each attempt, so that a repetition can be recognised.
	msg.SetMessageIDWithValue(m.ID.String() + "@" + domain(from))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notes, please
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")  // the same for Exchange
	msg.SetGenHeaderPreformatted("List-Id", listID(m.Kind, from))
	msg.SetGenHeader("Content-Language", r.language)
	msg.SetBodyString(gomail.TypeTextPlain, r.text)
	msg.AddAlternativeString(gomail.TypeTextHTML, r.html)
	var out bytes.Buffer
	if _, err := msg.WriteTo(&out); err != nil {
		return nil, &app.Failure{Reason: "bad-content", Final: true}
	}
	return out.Bytes(), nil
}

// listID lets people sort these mails (RFC 2919).
func listID(kind app.Kind, from netmail.Address) string {
	list := "account"
	if kind.OfOrder() {
		list = "orders"
	}
	return "<" + list + "." + strings.ToLower(domain(from)) + ">"
}

// goodLink takes what a browser opens, without anything that a mail program might end the link at.
func goodLink(link string) bool {
	u, err := url.Parse(link)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil &&
		!strings.ContainsFunc(link, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`<>"'`, r) })
}
