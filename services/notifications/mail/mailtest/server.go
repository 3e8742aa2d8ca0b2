// Package mailtest is an SMTP server for tests that does what real ones do on bad days.
package mailtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Mail that the server has taken.
type Mail struct {
	From, To string // of the envelope
	Text     []byte // as it came, after dot-unstuffing
	User     string // who was logged in
	TLS      bool
}

// Message reads it; a message that can't be read fails the test.
func (m Mail) Message(t testing.TB) *netmail.Message {
	t.Helper()
	msg, err := netmail.ReadMessage(strings.NewReader(string(m.Text)))
	if err != nil {
		t.Fatalf("what was sent is no message: %v\n%s", err, m.Text)
	}
	return msg
}

// Server takes mails. The fields that are functions may be nil; set them before the server is used, or with Set.
type Server struct {
	Host  string
	Port  int
	Roots *x509.CertPool // of its certificate

	mu     sync.Mutex
	rules  Rules
	mails  []Mail
	logins int
}

// Rules are what the server does.
type Rules struct {
	Password func() string                     // of user "souk"; nil: nobody needs to log in
	Mail     func(from string) error           // before MAIL FROM is accepted
	Rcpt     func(to string) error             // before RCPT TO is accepted
	Data     func(n int, m Mail) (bool, error) // the n-th mail, from 1; it is kept if the first result is true
	Cut      func(n int) bool                  // the connection ends after the n-th mail is kept, and before the reply
}

// Refuse is an answer to a command.
func Refuse(code int, enhanced [3]int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode(enhanced), Message: text}
}

// Start serves on a port of its own until the test ends. secure: STARTTLS is offered; implicit: TLS from the first byte.
func Start(t testing.TB, rules Rules, secure, implicit bool) *Server {
	t.Helper()
	s := &Server{Host: "127.0.0.1", rules: rules}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Port = l.Addr().(*net.TCPAddr).Port //nolint:errcheck,forcetypeassert // a TCP listener's
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{server: s, conn: c}, nil }))
	server.Domain, server.ReadTimeout, server.WriteTimeout = "mail.test", time.Minute, time.Minute
	server.MaxMessageBytes = 1 << 20
	server.ErrorLog = silent{}
	server.AllowInsecureAuth = !secure
	if secure || implicit {
		certificate, roots := certificate(t)
		s.Roots = roots
		config := &tls.Config{Certificates: []tls.Certificate{certificate}}
		if implicit {
			l = tls.NewListener(l, config)
		} else {
			server.TLSConfig = config
		}
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

// Set changes what the server does from now on.
func (s *Server) Set(rules Rules) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = rules
}

// Mails that were kept so far.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Logins is how many were tried.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

func (s *Server) now() Rules {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rules
}

type session struct {
	server *Server
	conn   *smtp.Conn
	mail   Mail
}

// AuthMechanisms implements smtp.AuthSession.
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession.
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.server.mu.Lock()
		s.server.logins++
		s.server.mu.Unlock()
		if rules := s.server.now(); rules.Password == nil || user != "souk" || password != rules.Password() {
			return Refuse(535, [3]int{5, 7, 8}, "not the credentials of "+user)
		}
		s.mail.User = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	rules := s.server.now()
	if rules.Password != nil && s.mail.User == "" {
		return smtp.ErrAuthRequired
	}
	s.mail.From = from
	if rules.Mail != nil {
		return rules.Mail(from)
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = to
	if rules := s.server.now(); rules.Rcpt != nil {
		return rules.Rcpt(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) (err error) {
	m := s.mail
	if m.Text, err = io.ReadAll(r); err != nil {
		return err
	}
	_, m.TLS = s.conn.TLSConnectionState()
	rules := s.server.now()
	s.server.mu.Lock()
	n := len(s.server.mails) + 1
	s.server.mu.Unlock()
	keep := true
	if rules.Data != nil {
		keep, err = rules.Data(n, m)
	}
	if keep {
		s.server.mu.Lock()
		s.server.mails = append(s.server.mails, m)
		s.server.mu.Unlock()
	}
	if rules.Cut != nil && rules.Cut(n) {
		return errors.Join(err, s.conn.Conn().Close())
	}
	return err
}

func (s *session) Reset()        { s.mail = Mail{User: s.mail.User} }
func (s *session) Logout() error { return nil }

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// certificate is self-signed, for 127.0.0.1.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}, roots
}
