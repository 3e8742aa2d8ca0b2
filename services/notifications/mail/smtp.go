package mail

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"souk/services/notifications/app"
)

// dial connects and logs in. Credentials that the server refuses are read anew, and tried if they are others.
func dial(ctx context.Context, s Settings, credentials *Credentials) (app.Session, error) {
	l, err := credentials.get(ctx)
	if err != nil {
		return nil, &app.Failure{Reason: "credentials-unavailable", Said: err.Error(), Down: true, Waits: true}
	}
	opened, err := connect(ctx, s, l)
	if loginRefused(err) {
		credentials.refused(l)
		if again, unavailable := credentials.get(ctx); unavailable == nil && again != l {
			opened, err = connect(ctx, s, again)
		}
	}
	if err != nil {
		return nil, explain(connecting, err)
	}
	opened.refused = func() { credentials.refused(l) }
	return opened, nil
}

// connect gives a session that is logged in, or closes what it opened.
func connect(ctx context.Context, s Settings, l login) (_ *session, err error) {
	config := &tls.Config{}
	if s.TLSConfig != nil {
		config = s.TLSConfig.Clone()
	}
	config.MinVersion, config.ServerName = max(config.MinVersion, tls.VersionTLS12), s.Host
	o := &session{settings: s}
	opts := []gomail.Option{
		gomail.WithPort(s.Port), gomail.WithTimeout(s.Timeout), gomail.WithHELO(helo(s)), gomail.WithTLSConfig(config), gomail.WithTLSPolicy(policy(s.TLS)),
		// By itself go-mail bounds the dialling only, and leaves the connection open when what follows fails.
		gomail.WithDialContextFunc(func(dialling context.Context, network, addr string) (conn net.Conn, err error) {
			if s.TLS == Implicit {
				conn, err = (&tls.Dialer{Config: config}).DialContext(dialling, network, addr)
			} else {
				conn, err = (&net.Dialer{}).DialContext(dialling, network, addr)
			}
			o.conn = conn
			if err != nil {
				return nil, err
			}
			return conn, o.within(s.Timeout)
		}),
	}
	if l.username != "" {
		opts = append(opts, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(l.username), gomail.WithPassword(l.password))
	}
	client, err := gomail.NewClient(s.Host, opts...)
	if err != nil {
		return nil, err
	}
	if o.client, err = client.DialToSMTPClientWithContext(ctx); err != nil {
		o.broken = true
		o.Close()
		return nil, err
	}
	return o, nil
}

// helo names this end with a domain, as RFC 5321, section 4.1.4, wants it.
func helo(s Settings) string {
	if host, err := os.Hostname(); err == nil && strings.Contains(host, ".") {
		return host
	}
	return domain(s.From)
}

// policy for go-mail, which sees by the connection that TLS is implicit; no server offers STARTTLS there.
func policy(t TLS) gomail.TLSPolicy {
	switch t {
	case Mandatory:
		return gomail.TLSMandatory
	case Opportunistic, Implicit:
		return gomail.TLSOpportunistic
	case None:
	}
	return gomail.NoTLS
}
