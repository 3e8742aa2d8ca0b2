package web_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/internal/tokens"
	"souk/internal/tokens/tokenstest"
	httpserver "souk/internal/web"
	"souk/services/users/app"
	"souk/services/users/store"
	"souk/services/users/web"
)

// api is the real service on a real port, over mutual TLS, and on PostgreSQL in a schema of the test's own. Only the key that signs
// tokens is the test's.
type api struct {
	t        testing.TB
	url      string
	callers  map[string]*http.Client // by the service whose certificate they show; "" shows none
	pool     *postgres.Pool
	accounts *app.Accounts
	issuer   *tokenstest.Issuer
}

func serve(t testing.TB) *api {
	t.Helper()
	pool := postgrestest.Open(t, "inventory", postgres.Options{})
	journal := &journal{}
	log := slog.New(slog.NewTextHandler(journal, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t.Cleanup(func() { journal.check(t) })
	st := store.New(pool, log)
	if err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	passwords, err := app.NewPasswords(app.PasswordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a := &api{t: t, callers: map[string]*http.Client{}, pool: pool, issuer: tokenstest.New(t)}
	a.accounts = app.New(st, passwords, app.Options{Issuer: tokenstest.URL})
	verifier, err := tokens.Open(t.Context(), tokens.Options{Issuer: tokenstest.URL, Source: source{a.issuer, st}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	server := httpserver.New(httpserver.Options{
		Service: "users", Log: log, RequestTimeout: 20 * time.Second, DrainDelay: time.Millisecond, BodyLimit: 128 << 10, TrustForwarded: true,
	})
	web.Routes(server.App(), web.Options{Accounts: a.accounts, Sessions: app.NewSessions(st), LogIn: a.logIn(st), Verifier: verifier, OpenAPI: document})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.url = "https://" + l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(ctx, tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate(t, "users")}, ClientAuth: tls.RequestClientCert}))
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	for _, service := range []string{"", "gateway", "notifications"} {
		config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} //nolint:gosec // identity has tests of its own
		if service != "" {
			config.Certificates = []tls.Certificate{certificate(t, service)}
		}
		transport := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 50}
		t.Cleanup(transport.CloseIdleConnections)
		a.callers[service] = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	}
	for deadline := time.Now().Add(10 * time.Second); verifier.Ready() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(verifier.Ready())
		}
	}
	return a
}

// TestTheAPI has every test begin with an empty database.
func TestTheAPI(t *testing.T) {
	a := serve(t)
	for _, x := range []struct {
		name string
		test func(*api, *testing.T)
	}{
		{"an account, from registration to erasure", (*api).life},
		{"sessions are listed and ended", (*api).sessions},
		{"a new password ends other sessions", (*api).newPassword},
		{"answers do not tell whether an e-mail has an account", (*api).noEnumeration},
		{"who may do what", (*api).table},
		{"scopes decide, not roles", (*api).scopes},
		{"an admin who lost the role gives none", (*api).lostRole},
		{"roles are given by version, and the last admin stays", (*api).roles},
		{"erasure wants a fresh login", (*api).stepUp},
		{"a user is found by e-mail and id", (*api).find},
		{"nobody makes themselves more than they are", (*api).massAssignment},
		{"hostile bodies are refused at every route", (*api).hostileBodies},
		{"passwords and e-mails that break a rule are refused", (*api).rules},
		{"one of many patches of the same version wins", (*api).race},
		{"one of many registrations makes the account", (*api).raceToRegister},
	} {
		t.Run(x.name, func(t *testing.T) {
			own := *a
			own.t = t
			own.empty()
			x.test(&own, t)
		})
	}
}

func (a *api) empty() {
	a.t.Helper()
	_, err := a.pool.Exec(a.t.Context(), "TRUNCATE users, registrations, mails, links, attempts, known_addresses, sessions, refresh_tokens, browser_sessions, authorization_codes, consents")
	if err != nil {
		a.t.Fatal(err)
	}
}

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// check finds secrets in the log, and shows the log's errors if the test failed.
func (j *journal) check(t testing.TB) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		for _, secret := range []string{password, "smv_", "spr_", "srt_", "eyJ", "$argon2", "@example.com", "Lovelace"} {
			if strings.Contains(line, secret) {
				t.Errorf("%q is logged: %s", secret, line)
			}
		}
		if t.Failed() && strings.Contains(line, "level=ERROR") {
			t.Log(line)
		}
	}
}

// source has the test's keys, and what the store says is revoked.
type source struct {
	*tokenstest.Issuer
	store *store.Store
}

func (s source) Revocations(ctx context.Context, after string) (tokens.Feed, error) {
	for {
		feed, err := s.store.RevokedSince(ctx, after)
		if err != nil || after == "" || len(feed.Revocations) > 0 {
			return feed, err
		}
		select {
		case <-ctx.Done():
			return tokens.Feed{}, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// logIn stands for the OAuth server: it opens the session, and signs with the test's key.
func (a *api) logIn(st *store.Store) web.LogIn {
	return func(ctx context.Context, user app.User, userAgent, address string) (web.Tokens, error) {
		now := time.Now().UTC().Truncate(time.Millisecond)
		s := app.Session{
			ID: uuid.Must(uuid.NewV7()), UserID: user.ID, ClientID: "souk", UserAgent: userAgent, Address: address, Scopes: app.ScopesOf(user.Roles),
			CreatedAt: now, AuthTime: now,
		}
		s.Extend(now)
		refresh := "srt_" + rand.Text()
		if err := st.OpenSession(ctx, s, user.Version, []byte(refresh)); err != nil {
			return web.Tokens{}, err
		}
		return web.Tokens{
			AccessToken: a.token(user, s.ID), TokenType: "Bearer", ExpiresIn: 600, RefreshToken: refresh, Scope: "account orders", SessionID: s.ID.String(),
		}, nil
	}
}

// token is an access token of a user, as the roles are that user has.
func (a *api) token(user app.User, session uuid.UUID) string {
	claims := a.issuer.Claims(user.Roles...)
	claims["sub"], claims["sid"] = user.ID.String(), session.String()
	return a.issuer.Sign(claims)
}

const password = "kettle moss window"

// user makes a user with a verified e-mail and these roles (default: customer), through the use cases.
func (a *api) user(email string, roles ...string) app.User {
	a.t.Helper()
	ctx := a.t.Context()
	err := a.accounts.Register(ctx, app.Registration{Email: email, Password: password, Name: "Ada Lovelace", From: netip.MustParseAddr("192.0.2.1")})
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.accounts.VerifyEmail(ctx, a.link(email)); err != nil {
		a.t.Fatal(err)
	}
	user, err := a.accounts.FindByEmail(ctx, email)
	if err != nil {
		a.t.Fatal(err)
	}
	if len(roles) > 0 {
		if user, err = a.accounts.SetRoles(ctx, uuid.Nil, user.ID, nil, roles); err != nil {
			a.t.Fatal(err)
		}
		// Its tokens are good from the next second on.
		time.Sleep(time.Until(user.TokensValidFrom))
	}
	return user
}

// link is the token of the link in the newest mail to an e-mail, as notifications would send it.
func (a *api) link(email string) string {
	a.t.Helper()
	mail := decode[app.Mail](a.t, a.want(200, call{method: "POST", path: "/internal/mails/" + a.mail(email), peer: "notifications"}).body)
	link, err := url.Parse(mail.Link)
	if err != nil || mail.To != email || link.Query().Get("token") == "" {
		a.t.Fatalf("the mail to %s: %+v, %v", email, mail, err)
	}
	return link.Query().Get("token")
}

// mail is the id of the newest mail to an e-mail.
func (a *api) mail(email string) (id string) {
	a.t.Helper()
	err := a.pool.QueryRow(a.t.Context(), "SELECT id::text FROM mails WHERE login = sha256($1::bytea) ORDER BY id DESC LIMIT 1", []byte(email)).Scan(&id)
	if err != nil {
		a.t.Fatalf("the mail to %s: %v", email, err)
	}
	return id
}

// certificate is one that says what Vault's would.
func certificate(t testing.TB, service string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{service + ".souk.internal"},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "souk", Path: "/" + service}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(fmt.Errorf("certificate of %s: %w", service, err))
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
