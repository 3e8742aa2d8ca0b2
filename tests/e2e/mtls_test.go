package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestAServiceAnswersOnlyServicesThatMayCallIt speaks to the catalogue's own port.
func TestAServiceAnswersOnlyServicesThatMayCallIt(t *testing.T) {
	var addr string
	for _, e := range jobInstances(t, "catalog") {
		addr = fmt.Sprintf("%s:%d", e.Service.Address, e.Service.Port)
	}
	gateway, roots := issued(t, "gateway")
	payments, _ := issued(t, "payments")
	call := func(cert *tls.Certificate, name string) (int, string, error) {
		config := &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}
		if cert != nil {
			config.Certificates = []tls.Certificate{*cert}
		}
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		res, err := client.Get("https://" + addr + "/v1/categories")
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res.StatusCode, string(body), err
	}
	const name = "catalog.souk.internal"
	if status, body, err := call(gateway, name); err != nil || status != http.StatusOK {
		t.Errorf("the gateway's certificate: %d %s %v", status, body, err)
	}
	if status, body, err := call(payments, name); err != nil || status != http.StatusForbidden || !strings.Contains(body, "payments") {
		t.Errorf("the certificate of a service that may not call: %d %s %v", status, body, err)
	}
	if status, _, err := call(nil, name); err == nil {
		t.Errorf("without a certificate: %d", status)
	}
	if status, _, err := call(selfSigned(t, "gateway"), name); err == nil {
		t.Errorf("with a certificate that somebody else signed: %d", status)
	}
	if status, _, err := call(gateway, "payments.souk.internal"); err == nil {
		t.Errorf("the catalogue passes for payments: %d", status)
	}
	res, err := http.Get("http://" + addr + "/v1/categories")
	if err == nil {
		res.Body.Close()
		if res.StatusCode < 400 {
			t.Errorf("without TLS: %s", res.Status)
		}
	}
}

// issued is a certificate of a service from Vault, as the operator may ask for any.
func issued(t *testing.T, service string) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	vault, err := env.Vault()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := vault.Logical().WriteWithContext(t.Context(), "pki/issue/"+service,
		map[string]any{"common_name": service + ".souk.internal", "uri_sans": "spiffe://souk/" + service, "ttl": "10m"})
	if err != nil {
		t.Fatal(err)
	}
	chain, roots := fmt.Sprintln(secret.Data["certificate"]), x509.NewCertPool()
	for _, ca := range secret.Data["ca_chain"].([]any) {
		chain += fmt.Sprintln(ca)
		roots.AppendCertsFromPEM([]byte(ca.(string)))
	}
	cert, err := tls.X509KeyPair([]byte(chain), []byte(secret.Data["private_key"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	return &cert, roots
}

func selfSigned(t *testing.T, service string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: service + ".souk.internal"},
		DNSNames: []string{service + ".souk.internal"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "souk", Path: "/" + service}},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	if err != nil {
		t.Fatal(err)
	}
	return &cert
}
