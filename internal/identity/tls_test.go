package identity

import (
	"bufio"
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
	"io"
	"maps"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"souk/internal/testenv"
)

// serve answers every connection with the name of the caller, a line per line it
// gets, and returns where.
func serve(t *testing.T, config *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(conns.Wait)
	t.Cleanup(func() { _ = l.Close() })
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { greet(conn.(*tls.Conn)) })
		}
	})
	return l.Addr().String()
}

func greet(conn *tls.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		name, err := PeerService(conn.ConnectionState().PeerCertificates[0])
		if _, err := fmt.Fprintf(conn, "%s %v\n", name, err); err != nil {
			return
		}
	}
}

// call connects anew and returns how the server calls us.
func call(addr string, config *tls.Config) (string, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr, config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	// In TLS 1.3 a client learns only by reading that its certificate was refused.
	if _, err := io.WriteString(conn, "who\n"); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	name, _, _ := strings.Cut(answer, " ")
	return name, err
}

func certificate(t *testing.T, env *testenv.Env, service string, ttl time.Duration) *Certificate {
	t.Helper()
	opts := optionsOf(t, env.Workload(t, service), service)
	opts.CertificateTTL = ttl
	id, _ := login(t, opts)
	cert, err := id.Certificate(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestServicesKnowEachOtherByName(t *testing.T) {
	env := testenv.Start(t)
	caller, callee := certificate(t, env, "probe", 0), certificate(t, env, "search", 0)
	leaf := callee.Leaf()
	if len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != "search.souk.internal" || len(leaf.URIs) != 1 || leaf.URIs[0].String() != "spiffe://souk/search" {
		t.Errorf("names %v %v", leaf.DNSNames, leaf.URIs)
	}
	if behind := time.Since(leaf.NotBefore); behind < 28*time.Second {
		t.Errorf("a peer whose clock is more than %s behind would refuse it", behind)
	}
	if _, ok := callee.current.Load().PrivateKey.(*ecdsa.PrivateKey); !ok {
		t.Error("the key is not an ECDSA key of our own")
	}
	addr := serve(t, callee.ServerTLS())
	if name, err := call(addr, caller.ClientTLS("search")); err != nil || name != "probe" {
		t.Errorf("want to be known as probe, got %q, %v", name, err)
	}
	// The address is right, but somebody else listens there.
	if _, err := call(addr, caller.ClientTLS("orders")); err == nil || !strings.Contains(err.Error(), "the peer is search, not orders") {
		t.Errorf("took search for orders: %v", err)
	}
	// fasthttp and net/http clone configurations.
	if _, err := call(addr, caller.ClientTLS("orders").Clone()); err == nil {
		t.Error("a clone takes search for orders")
	}
}

func TestAServerTurnsStrangersAway(t *testing.T) {
	env := testenv.Start(t)
	callee := certificate(t, env, "probe", 0)
	addr := serve(t, callee.ServerTLS())
	root := vaultRoot(t, env)
	anyone := func(change func(*tls.Config)) *tls.Config {
		c := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // what an attacker would do
		change(c)
		return c
	}
	showing := func(cert tls.Certificate) *tls.Config {
		return anyone(func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		})
	}
	expired := issue(t, root, "1s")
	serverOnly := selfIssued(t, "spiffe://souk/gateway", "gateway.souk.internal")
	stolen := issue(t, root, "10m")
	stolen.PrivateKey = serverOnly.PrivateKey
	time.Sleep(1100 * time.Millisecond)
	for name, config := range map[string]*tls.Config{
		"no certificate":      anyone(func(*tls.Config) {}),
		"its own authority":   showing(serverOnly),
		"expired":             showing(expired),
		"another's, no key":   showing(stolen),
		"TLS 1.2":             anyone(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
		"the CA's, as a leaf": showing(tls.Certificate{Certificate: [][]byte{callee.current.Load().Certificate[1]}, PrivateKey: serverOnly.PrivateKey}),
	} {
		if got, err := call(addr, config); err == nil {
			t.Errorf("%s: was let in as %q", name, got)
		}
	}
	if name, err := call(addr, showing(issue(t, root, "10m"))); err != nil || name != "search" {
		t.Errorf("a good one: %q, %v", name, err)
	}
}

// TestVaultSignsNoOtherName: what a task that was taken over could ask for.
func TestVaultSignsNoOtherName(t *testing.T) {
	env := testenv.Start(t)
	id, _ := login(t, optionsOf(t, env.Workload(t, "probe"), "probe"))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := x509.CertificateRequest{Subject: pkix.Name{CommonName: DNSName("probe")}, DNSNames: []string{DNSName("probe")}, URIs: []*url.URL{spiffeID("probe")}}
	for name, c := range map[string]struct {
		path   string
		params map[string]any
		change func(*x509.CertificateRequest)
	}{
		"another's role":      {"pki/sign/search", nil, func(*x509.CertificateRequest) {}},
		"no role":             {"pki/sign-verbatim", nil, func(*x509.CertificateRequest) {}},
		"a CA":                {"pki/root/sign-intermediate", map[string]any{"common_name": "x.souk.internal"}, func(*x509.CertificateRequest) {}},
		"another's DNS name":  {"pki/sign/probe", nil, func(r *x509.CertificateRequest) { r.DNSNames = append(r.DNSNames, DNSName("search")) }},
		"another's URI":       {"pki/sign/probe", nil, func(r *x509.CertificateRequest) { r.URIs = []*url.URL{spiffeID("search")} }},
		"one more URI":        {"pki/sign/probe", nil, func(r *x509.CertificateRequest) { r.URIs = append(r.URIs, spiffeID("search")) }},
		"a name below its":    {"pki/sign/probe", nil, func(r *x509.CertificateRequest) { r.DNSNames = []string{"x." + DNSName("probe")} }},
		"any name":            {"pki/sign/probe", nil, func(r *x509.CertificateRequest) { r.DNSNames = []string{"*.souk.internal"} }},
		"an address":          {"pki/sign/probe", nil, func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }},
		"another's as param":  {"pki/sign/probe", map[string]any{"common_name": DNSName("search")}, func(r *x509.CertificateRequest) { r.Subject.CommonName = DNSName("search") }},
		"another's, exchange": {"pki/issue/probe", map[string]any{"common_name": DNSName("probe"), "uri_sans": "spiffe://souk/search"}, func(*x509.CertificateRequest) {}},
	} {
		request := own
		c.change(&request)
		der, err := x509.CreateCertificateRequest(rand.Reader, &request, key)
		if err != nil {
			t.Fatal(err)
		}
		params := map[string]any{"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))}
		maps.Copy(params, c.params)
		if _, err := id.Vault().Logical().WriteWithContext(t.Context(), c.path, params); !refused(err) {
			t.Errorf("%s: was signed, or failed otherwise: %v", name, err)
		}
	}
}

// TestCertificatesAreReplacedUnderOpenServers: six seconds of life, four
// certificates, and no call fails.
func TestCertificatesAreReplacedUnderOpenServers(t *testing.T) {
	env := testenv.Start(t)
	caller, callee := certificate(t, env, "probe", 6*time.Second), certificate(t, env, "search", 6*time.Second)
	addr := serve(t, callee.ServerTLS())
	config := caller.ClientTLS("search")
	serials := map[string]bool{}
	calls := 0
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); calls++ {
		if _, err := call(addr, config); err != nil {
			t.Fatalf("call %d: %v", calls, err)
		}
		serials[callee.Leaf().SerialNumber.String()] = true
		if err := errors.Join(caller.id.Ready(), callee.id.Ready()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(serials) < 4 {
		t.Errorf("%d certificates in 15 s, want 4 of 6 s replaced at two thirds", len(serials))
	}
	t.Logf("%d calls over %d certificates", calls, len(serials))
}

// TestANewRootIsTrustedWithoutARestart: the operator brings in a new root; the
// first handshake that shows it succeeds, and once it is removed none does.
func TestANewRootIsTrustedWithoutARestart(t *testing.T) {
	env := testenv.Start(t)
	callee := certificate(t, env, "probe", 0)
	addr := serve(t, callee.ServerTLS())
	root := vaultRoot(t, env)
	made, err := root.Logical().WriteWithContext(t.Context(), "pki/issuers/generate/root/internal", map[string]any{
		"common_name": "Souk test root CA", "ttl": "1h", "key_type": "ec", "key_bits": 256, "exclude_cn_from_sans": true})
	if err != nil {
		t.Fatal(err)
	}
	issuer, key := made.Data["issuer_id"].(string), made.Data["key_id"].(string)
	remove := func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := root.Logical().DeleteWithContext(ctx, "pki/issuer/"+issuer)
		if _, e := root.Logical().DeleteWithContext(ctx, "pki/key/"+key); err != nil || e != nil {
			t.Error(err, e)
		}
	}
	t.Cleanup(remove)
	fresh := issueBy(t, root, "pki/issuer/"+issuer+"/issue/search", "10m")
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{fresh}} //nolint:gosec // the server is under test

	// Strangers can't make us ask Vault all the time: one look in a while.
	time.Sleep(time.Until(callee.trust.lastAsked().Add(trustGap)))
	if name, err := call(addr, config); err != nil || name != "search" {
		t.Fatalf("signed by the new root: %q, %v", name, err)
	}
	remove()
	callee.trust.keeper.now()
	eventually(t, trustGap+3*time.Second, "the removed root is forgotten", func() error {
		if _, err := call(addr, config); err == nil {
			return errors.New("it counts")
		}
		return nil
	})
	if _, err := call(addr, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{issue(t, root, "10m")}}); err != nil { //nolint:gosec // the server is under test
		t.Errorf("signed by the old root: %v", err)
	}
}

func (t *trust) lastAsked() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked
}

// issue has Vault make a certificate of search's and its key, as an operator could.
func issue(t *testing.T, root *vaultapi.Client, ttl string) tls.Certificate {
	t.Helper()
	return issueBy(t, root, "pki/issue/search", ttl)
}

func issueBy(t *testing.T, root *vaultapi.Client, path, ttl string) tls.Certificate {
	t.Helper()
	s, err := root.Logical().WriteWithContext(t.Context(), path, map[string]any{
		"common_name": DNSName("search"), "uri_sans": spiffeID("search").String(), "ttl": ttl})
	if err != nil {
		t.Fatal(err)
	}
	text := s.Data["certificate"].(string)
	chain, _ := s.Data["ca_chain"].([]any)
	for _, ca := range chain {
		text += "\n" + ca.(string)
	}
	cert, err := tls.X509KeyPair([]byte(text), []byte(s.Data["private_key"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// selfIssued is signed by nobody but itself.
func selfIssued(t *testing.T, uri string, dns ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Souk root CA"}, DNSNames: dns,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	for text := range strings.FieldsSeq(uri) {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestAPeerIsNamedByOneSPIFFEIdAndTheMatchingDNSName(t *testing.T) {
	for _, c := range []struct{ uri, dns, want string }{
		{"spiffe://souk/orders", "orders.souk.internal", "orders"},
		{"", "orders.souk.internal", ""},
		{"spiffe://souk/orders", "payments.souk.internal", ""},
		{"spiffe://souk/orders", "", ""},
		{"spiffe://souk/orders spiffe://souk/gateway", "orders.souk.internal", ""},
		{"spiffe://other/orders", "orders.souk.internal", ""},
		{"https://souk/orders", "orders.souk.internal", ""},
		{"spiffe://souk/orders/x", "orders.souk.internal", ""},
		{"spiffe://souk/orders?x", "orders.souk.internal", ""},
		{"spiffe://souk/orders#x", "orders.souk.internal", ""},
		{"spiffe://souk:8080/orders", "orders.souk.internal", ""},
		{"spiffe://user@souk/orders", "orders.souk.internal", ""},
		{"spiffe://souk/", "souk.internal", ""},
		{"spiffe://souk", "souk.internal", ""},
		{"spiffe://souk/Orders", "orders.souk.internal", ""},
		{"spiffe://souk/or%64ers", "orders.souk.internal", ""},
		{"spiffe:souk", "souk.internal", ""},
		{"spiffe://souk/*", "*.souk.internal", ""},
	} {
		name, err := PeerService(selfIssued(t, c.uri, strings.Fields(c.dns)...).Leaf)
		if name != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q with %q: got %q, %v", c.uri, c.dns, name, err)
		}
	}
	if _, err := PeerService(nil); err == nil {
		t.Error("no certificate has a name")
	}
}
