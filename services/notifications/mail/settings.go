package mail

import (
	"crypto/tls"
	"fmt"
	netmail "net/mail"
	"regexp"
	"strings"
	"time"
)

// TLS says how a connection to the SMTP server is secured.
type TLS string

// The certificate is verified in every one of them that has TLS.
const (
	Mandatory     TLS = "mandatory"     // STARTTLS, or nothing is sent
	Opportunistic TLS = "opportunistic" // STARTTLS if the server offers it: who is in between can strip that
	Implicit      TLS = "implicit"      // TLS from the first byte, as on port 465 (RFC 8314)
	None          TLS = "none"          // in the clear; credentials are only shown in ways that don't tell the password
)

// Settings of the way out.
type Settings struct {
	Host string // of the SMTP server; "" writes files
	Port int
	TLS  TLS
	From netmail.Address
	// Timeout bounds connecting, logging in, and each command.
	Timeout time.Duration
	// ReplyTimeout bounds the wait for the server's word that it has taken a mail over. Who gives up before the server
	// does sends the mail twice, which is why RFC 5321, section 4.5.3.2.6, wants 10 minutes.
	ReplyTimeout time.Duration

	TLSConfig *tls.Config // more of it, such as other roots; nil for the system's
}

// dotAtom is an address without quoting, in ASCII (RFC 5322, section 3.4.1).
var dotAtom = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+/=?^_{|}~\x60-]+(\.[A-Za-z0-9!#$%&'*+/=?^_{|}~\x60-]+)*@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

// goodAddress is what every SMTP server takes (RFC 5321, section 4.5.3.1).
func goodAddress(a string) bool {
	return len(a) <= 254 && strings.IndexByte(a, '@') <= 64 && dotAtom.MatchString(a)
}

// ParseFrom reads a sender such as "Souk <no-reply@souk.example>".
func ParseFrom(text string) (netmail.Address, error) {
	a, err := netmail.ParseAddress(text)
	if err != nil || !goodAddress(a.Address) || strings.ContainsAny(a.Name, "\r\n") {
		return netmail.Address{}, fmt.Errorf("%q is no sender; it must look like Souk <no-reply@souk.example>", text)
	}
	return *a, nil
}

// domain is the part of an address behind the @.
func domain(a netmail.Address) string { return a.Address[strings.LastIndexByte(a.Address, '@')+1:] }
