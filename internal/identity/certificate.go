package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"
)

// Certificate is the service's own, with the authorities it trusts. Both are
// replaced while it is in use.
type Certificate struct {
	id      *Identity
	keeper  *keeper
	current atomic.Pointer[tls.Certificate]
	trust   *trust
}

// Certificate gets one for <service>.souk.internal and spiffe://souk/<service>,
// and keeps one with time left. The key is made here for every certificate and
// never leaves the process: Vault signs a request (pki/sign). It tries until
// ctx ends. Asked again, it returns the same.
func (id *Identity) Certificate(ctx context.Context) (*Certificate, error) {
	id.issuing.Lock()
	defer id.issuing.Unlock()
	if id.certificate != nil {
		return id.certificate, nil
	}
	c := &Certificate{id: id, trust: &trust{id: id}}
	c.trust.keeper = id.newKeeper("trust", id.opts.PKIMount, trustGap, c.trust.renew)
	if err := id.start(ctx, c.trust.keeper); err != nil {
		return nil, err
	}
	c.keeper = id.newKeeper("certificate", id.opts.Service, time.Second, c.renew)
	c.keeper.vital = true
	if err := id.start(ctx, c.keeper); err != nil {
		return nil, err
	}
	id.certificate = c
	return c, nil
}

// Leaf is the certificate in use now. It must not be changed.
func (c *Certificate) Leaf() *x509.Certificate { return c.current.Load().Leaf }

func (c *Certificate) renew(ctx context.Context) (time.Duration, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, err
	}
	service := c.id.opts.Service
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: DNSName(service)}, DNSNames: []string{DNSName(service)}, URIs: []*url.URL{spiffeID(service)},
	}, key)
	if err != nil {
		return 0, err
	}
	asked := time.Now()
	secret, err := c.id.vault.Logical().WriteWithContext(ctx, c.id.opts.PKIMount+"/sign/"+c.id.opts.Role, map[string]any{
		"csr":         string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})),
		"common_name": DNSName(service), "ttl": c.id.opts.CertificateTTL.String(),
	})
	if err != nil {
		return 0, explain(err)
	}
	if secret == nil {
		return 0, errors.New("the answer of Vault holds no certificate")
	}
	signed, err := chainOf(secret.Data)
	if err != nil {
		return 0, err
	}
	signed.PrivateKey = key
	if err := c.fits(ctx, signed, key); err != nil {
		return 0, fmt.Errorf("the certificate that Vault signed is of no use: %w", err)
	}
	c.current.Store(signed)
	// Vault dates it back a little for clocks that are behind; what counts is what is left of it.
	life := signed.Leaf.NotAfter.Sub(asked)
	c.keeper.log.Info("new certificate", "serial", signed.Leaf.SerialNumber.Text(16), "life", life.Round(time.Second).String())
	return life, nil
}

// fits checks a new certificate as a peer would before any peer sees it.
func (c *Certificate) fits(ctx context.Context, signed *tls.Certificate, key *ecdsa.PrivateKey) error {
	if public, ok := signed.Leaf.PublicKey.(*ecdsa.PublicKey); !ok || !key.PublicKey.Equal(public) {
		return errors.New("it is for another key")
	}
	if signed.Leaf.NotAfter.Before(time.Now()) {
		return errors.New("it has run out already")
	}
	chain := []*x509.Certificate{signed.Leaf}
	for _, der := range signed.Certificate[1:] {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		chain = append(chain, ca)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := c.trust.verify(ctx, chain, usage, c.id.opts.Service); err != nil {
			return err
		}
	}
	return nil
}

// chainOf reads the leaf and what leads from it to a root, the root left out:
// a peer has that or must not believe it.
func chainOf(data map[string]any) (*tls.Certificate, error) {
	leaf, err := parsePEM(data["certificate"])
	if err != nil {
		return nil, err
	}
	chain := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, Leaf: leaf}
	authorities, _ := data["ca_chain"].([]any)
	for _, text := range authorities {
		ca, err := parsePEM(text)
		if err != nil {
			return nil, err
		}
		if !selfSigned(ca) {
			chain.Certificate = append(chain.Certificate, ca.Raw)
		}
	}
	return chain, nil
}

func parsePEM(text any) (*x509.Certificate, error) {
	s, _ := text.(string)
	block, _ := pem.Decode([]byte(s))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("the answer of Vault holds no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
