package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/internal/identity"
	"souk/internal/testenv"
	"souk/services/notifications/app"
)

// usersServer answers as users does, with its certificate, and to notifications alone.
type usersServer struct {
	address string

	mu      sync.Mutex
	away    int // status of every answer; 0: it answers
	nowhere bool
	mails   map[string]app.Kind  // by id
	owners  map[string]uuid.UUID // of mails
	known   map[uuid.UUID]bool
	asked   map[string]int // by id
	links   int
	calls   int
	hold    chan struct{} // an answer waits for it
}

// serverOf is a service's certificate of the real PKI, got without its job's identity: the tests of that service want it.
func serverOf(t *testing.T, env *testenv.Env, service string) *tls.Config {
	t.Helper()
	vault, err := env.Vault()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri := &url.URL{Scheme: "spiffe", Host: "souk", Path: "/" + service}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: identity.DNSName(service)}, DNSNames: []string{identity.DNSName(service)}, URIs: []*url.URL{uri},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := vault.Logical().Write("pki/sign/"+service, map[string]any{
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})), "common_name": identity.DNSName(service), "ttl": "1h",
	})
	if err != nil {
		t.Fatal(err)
	}
	var chain [][]byte
	authorities, _ := secret.Data["ca_chain"].([]any)
	for _, text := range append([]any{secret.Data["certificate"]}, authorities...) {
		block, _ := pem.Decode([]byte(text.(string)))
		chain = append(chain, block.Bytes)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
		Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: key}},
	}
}

func startUsers(t *testing.T, config *tls.Config) *usersServer {
	t.Helper()
	u := &usersServer{mails: map[string]app.Kind{}, owners: map[string]uuid.UUID{}, known: map[uuid.UUID]bool{}, asked: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /internal/mails/{id}", u.mail)
	mux.HandleFunc("POST /internal/contacts", u.contacts)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.address = l.Addr().String()
	server := &httptest.Server{Listener: tls.NewListener(l, config), Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := identity.PeerService(r.TLS.PeerCertificates[0])
		if err != nil {
			t.Errorf("asked by nobody known: %v", err)
		}
		if peer != name {
			w.WriteHeader(http.StatusNotFound) // a service of another package's tests, which follows revocations
			return
		}
		u.mu.Lock()
		u.calls++
		away, hold := u.away, u.hold
		u.mu.Unlock()
		if hold != nil {
			<-hold
		}
		if away != 0 {
			w.WriteHeader(away)
			return
		}
		mux.ServeHTTP(w, r)
	})}}
	server.Start()
	t.Cleanup(server.Close)
	return u
}

func (u *usersServer) instances() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.nowhere {
		return nil
	}
	return []string{u.address}
}

func (u *usersServer) set(change func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change()
}

func (u *usersServer) addUser(user uuid.UUID) { u.set(func() { u.known[user] = true }) }

// add makes a mail of a user's and gives its id.
func (u *usersServer) add(user uuid.UUID, kind app.Kind) string {
	id := uuid.NewString()
	u.set(func() { u.mails[id], u.owners[id], u.known[user] = kind, user, true })
	return id
}

func (u *usersServer) erase(user uuid.UUID) { u.set(func() { delete(u.known, user) }) }

// addressOf a user: tests find mails by it.
func addressOf(user uuid.UUID) string { return "u-" + user.String() + "@example.com" }

func (u *usersServer) mail(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	id := r.PathValue("id")
	u.asked[id]++
	kind, ok := u.mails[id]
	if !ok || !u.known[u.owners[id]] {
		w.WriteHeader(http.StatusGone)
		return
	}
	answer := map[string]any{"to": addressOf(u.owners[id]), "name": "Ada Lovelace", "locale": "de-AT", "kind": kind, "link": "", "expires_at": time.Now().Add(time.Hour), "later": 1}
	if kind.HasLink() {
		u.links++
		answer["link"] = "https://shop.example/account/x?token=smv_" + strings.Repeat("x", u.links)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (u *usersServer) contacts(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var question struct {
		IDs []uuid.UUID `json:"ids"`
	}
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil || len(question.IDs) == 0 || len(question.IDs) > app.MostContacts {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	contacts := []map[string]any{}
	for _, user := range question.IDs {
		if u.known[user] {
			contacts = append(contacts, map[string]any{"id": user, "email": addressOf(user), "name": "Ada Lovelace", "locale": "en"})
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"contacts": contacts})
}
