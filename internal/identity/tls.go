package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"
)

const (
	trustDomain = "souk"          // of SPIFFE ids
	dnsDomain   = "souk.internal" // of names in certificates
)

// handshakeLimit bounds what a handshake may wait for Vault.
const handshakeLimit = 2 * time.Second

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// DNSName is the name in a service's certificate: "orders.souk.internal".
func DNSName(service string) string { return service + "." + dnsDomain }

// spiffeID is spiffe://souk/<service>.
func spiffeID(service string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: trustDomain, Path: "/" + service}
}

// ServerTLS is for a listener that only Souk's services may speak to: it asks for
// a certificate of our authority with one service's name in it, and leaves to
// the caller which services may do what (PeerService). It follows renewals of
// certificate and authority, so one is enough for a process's life.
func (c *Certificate) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
		// The authorities change while this is in use, so the chain is verified below, not by crypto/tls.
		ClientAuth: tls.RequireAnyClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			ctx, cancel := context.WithTimeout(c.id.background, handshakeLimit)
			defer cancel()
			return c.trust.verify(ctx, state.PeerCertificates, x509.ExtKeyUsageClientAuth, "")
		},
		// Every connection shows a certificate that is good now.
		SessionTicketsDisabled: true,
	}
}

// ClientTLS is for calls to one service, wherever it listens: whoever answers
// must hold that service's certificate. Like ServerTLS it follows renewals.
func (c *Certificate) ClientTLS(service string) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		ServerName:           DNSName(service),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
		// Not insecure: VerifyConnection does the whole of it, with the authorities of the moment.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			ctx, cancel := context.WithTimeout(c.id.background, handshakeLimit)
			defer cancel()
			return c.trust.verify(ctx, state.PeerCertificates, x509.ExtKeyUsageServerAuth, service)
		},
	}
}

// PeerService is the service that a verified certificate names: by exactly one
// URI, its SPIFFE id, and by the DNS name that goes with it.
func PeerService(leaf *x509.Certificate) (string, error) {
	if leaf == nil {
		return "", errors.New("identity: the peer showed no certificate")
	}
	if len(leaf.URIs) != 1 {
		return "", fmt.Errorf("identity: the peer's certificate holds %d URIs, want its SPIFFE id alone", len(leaf.URIs))
	}
	id := leaf.URIs[0]
	name := ""
	if len(id.Path) > 1 {
		name = id.Path[1:]
	}
	if !serviceName.MatchString(name) || id.String() != spiffeID(name).String() {
		return "", fmt.Errorf("identity: %q is no SPIFFE id of a service in %s", id, trustDomain)
	}
	if err := leaf.VerifyHostname(DNSName(name)); err != nil {
		return "", fmt.Errorf("identity: the peer's SPIFFE id and DNS name differ: %w", err)
	}
	return name, nil
}
