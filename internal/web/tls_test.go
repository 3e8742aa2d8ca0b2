package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
)

// authority signs certificates like those of Vault's PKI.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: bigOne(), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{t: t, cert: cert, key: key, pool: pool}
}

func bigOne() *big.Int { return big.NewInt(time.Now().UnixNano()) }

func (a *authority) issue(service string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: bigOne(), Subject: pkix.Name{CommonName: service},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{service + ".souk.internal"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "souk", Path: "/" + service}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// server is the configuration of the probe service: it wants a client certificate.
func (a *authority) server() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{a.issue("probe")}, ClientCAs: a.pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}
}

func (a *authority) client(service string) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{a.issue(service)}, RootCAs: a.pool,
		ServerName: "probe.souk.internal", MinVersion: tls.VersionTLS13,
	}
}

func TestThePeerCertificateIsTheVerifiedClients(t *testing.T) {
	ca := newAuthority(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := startOn(t, tls.NewListener(ln, ca.server()), ca.client("orders"), Options{}, func(app *fiber.App) {
		app.Get("/who", func(c *fiber.Ctx) error {
			return c.SendString(PeerCertificate(c).URIs[0].String() + " " + Scheme(c))
		})
	})
	if a := r.do("GET", "/who", nil); string(a.body) != "spiffe://souk/orders https" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if got := r.log.with(`"url.path":"/who"`); len(got) != 1 || got[0]["service.origin.name"] != "spiffe://souk/orders" {
		t.Errorf("log: %v", got)
	}
	t.Run("without a certificate there is no answer", func(t *testing.T) {
		stranger := ca.client("orders")
		stranger.Certificates = nil
		c, err := tls.Dial("tcp", r.addr, stranger)
		if err == nil {
			defer c.Close()
			_, err = c.Read(make([]byte, 1)) // TLS 1.3 tells with the first read
		}
		if err == nil {
			t.Fatal("served")
		}
		eventually(t, "the log says so", func() bool { return len(r.log.with("TLS handshake failed")) > 0 })
	})
}

func TestThereIsNoPeerCertificateWithoutTLS(t *testing.T) {
	r := start(t, Options{}, func(app *fiber.App) {
		app.Get("/who", func(c *fiber.Ctx) error {
			if PeerCertificate(c) != nil {
				return fiber.ErrTeapot
			}
			return c.SendString(Scheme(c))
		})
	})
	if a := r.do("GET", "/who", nil); string(a.body) != "http" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
