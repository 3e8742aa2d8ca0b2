package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/oauth2"

	"souk/internal/identity"
	"souk/internal/postgres"
	"souk/internal/testenv"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/users/app"
	"souk/services/users/store"
)

const (
	password     = "a quiet river, 7 stones"
	robotSecret  = "robot-secret-that-is-random-and-long" //nolint:gosec // a test's
	robotSecret2 = "the-robot's-next secret/+&="          //nolint:gosec // a test's
)

// harness is the authorization server on the real PostgreSQL and Vault, behind the real web server, with the identity of
// the users job and in a schema of the test's own.
type harness struct {
	url      string // and issuer
	env      *testenv.Env
	id       *identity.Identity
	pool     *postgres.Pool
	store    *store.Store
	accounts *app.Accounts
	keys     *Keys
	server   *Server
	delay    atomic.Int64
	verifier *tokens.Verifier
}

func clientsForTests() []Client {
	all := []string{
		"account", "orders", "users:read", "users:write", "users:roles", "orders:read", "orders:write", "catalog:write",
		"inventory:read", "inventory:write", "payments:write",
	}
	code := []string{grantCode, grantRefresh}
	return []Client{
		{ID: FirstParty, Name: "Souk", Public: true, Trusted: true, GrantTypes: []string{grantRefresh}, Scopes: all},
		{ID: "shop", Name: "Souk Shop", Public: true, Trusted: true, GrantTypes: code, Scopes: all, RedirectURIs: []string{"http://127.0.0.1/callback", "https://shop.example/cb", "com.example.shop:/cb"}},
		{ID: "third", Name: "Third <b>Party</b>", Public: true, GrantTypes: code, Scopes: []string{"account", "orders"}, RedirectURIs: []string{"http://127.0.0.1/callback", "https://third.example/cb?x=1", "http://[::1]/cb"}},
		{ID: "backend", Name: "Backend", Trusted: true, GrantTypes: []string{grantCode}, Scopes: []string{"orders"}, RedirectURIs: []string{"https://backend.example/cb"}},
		{ID: "robot", Name: "Robot", GrantTypes: []string{grantClient}, Scopes: []string{"catalog:write", "inventory:read"}},
	}
}

func start(t *testing.T) *harness {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	h := &harness{env: testenv.Start(t)}
	w := h.env.Workload(t, "users")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	h.id, err = identity.Login(ctx, identity.Options{Service: "users", VaultAddr: h.env.VaultAddr(), JWTFile: filepath.Join(w.Secrets, "nomad_vault.jwt")}, log)
	must(t, err)
	t.Cleanup(func() { must(t, h.id.Close(context.Background())) })
	h.openSchema(t, ctx, log)

	l := listen(t)
	h.url = "http://" + l.Addr().String()
	h.keys = NewKeys(t.Context(), h.id.Vault(), func() time.Duration { return time.Duration(h.delay.Load()) }, log)
	passwords, err := app.NewPasswords(app.PasswordOptions{})
	must(t, err)
	h.accounts = app.New(h.store, passwords, app.Options{Issuer: h.url})
	clients := clientsForTests()
	h.server, err = New(Options{
		Issuer: h.url, Store: h.store, Accounts: h.accounts, Keys: h.keys, Log: log,
		Clients: func() []Client { return clients },
		Secrets: func(id string) [][]byte {
			one, two := sha256.Sum256([]byte(robotSecret)), sha256.Sum256([]byte(robotSecret2))
			return map[string][][]byte{"robot": {one[:], two[:]}, "backend": {one[:]}}[id]
		},
	})
	must(t, err)
	h.verifier, err = tokens.Open(t.Context(), tokens.Options{Issuer: h.url, Source: h.server, Log: log})
	must(t, err)
	h.serve(t, l, log)
	return h
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	return l
}

// serve runs the web server and what follows revocations until the test ends.
func (h *harness) serve(t *testing.T, l net.Listener, log *slog.Logger) {
	server := httpserver.New(httpserver.Options{Service: "users", Log: log, DrainDelay: time.Millisecond})
	h.server.Routes(server.App())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(ctx, l) }()
	go func() { h.server.Follow(ctx); ended <- nil }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			must(t, <-ended)
		}
	})
}

func (h *harness) openSchema(t *testing.T, ctx context.Context, log *slog.Logger) {
	t.Helper()
	creds, err := h.id.Database(ctx, "users")
	must(t, err)
	base, err := postgres.Open(ctx, creds, h.env.PostgresAddr, "users", postgres.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, base.Close(context.Background())) })
	schema := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	exec(t, base, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { exec(t, base, "DROP SCHEMA "+schema+" CASCADE") })
	t.Setenv("PGOPTIONS", "-c search_path="+schema)
	h.pool, err = postgres.Open(ctx, creds, h.env.PostgresAddr, "users", postgres.Options{MaxConns: 20})
	must(t, err)
	t.Cleanup(func() { must(t, h.pool.Close(context.Background())) })
	h.store = store.New(h.pool, log)
	must(t, h.store.Migrate(ctx))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exec(t testing.TB, pool *postgres.Pool, sql string, args ...any) {
	t.Helper()
	err := postgres.Tx(context.Background(), pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), sql, args...)
		return err
	})
	if err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

func (h *harness) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	must(t, h.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// mailed gives the link of the newest mail to an e-mail.
func (h *harness) mailed(t *testing.T, email string) string {
	t.Helper()
	var id uuid.UUID
	must(t, h.pool.QueryRow(t.Context(), "SELECT id FROM mails WHERE login = sha256(convert_to($1, 'UTF8')) ORDER BY id DESC LIMIT 1", email).Scan(&id))
	m, err := h.accounts.MailContent(t.Context(), id)
	must(t, err)
	return m.Link
}

func (h *harness) register(t *testing.T) (email string) {
	t.Helper()
	email = "jane." + uuid.NewString()[24:] + "@mail.example"
	must(t, h.accounts.Register(t.Context(), app.Registration{Email: email, Password: password, Name: "Jane", Locale: "en"}))
	return email
}

// user has an account.
func (h *harness) user(t *testing.T) app.User {
	t.Helper()
	email := h.register(t)
	_, token, _ := strings.Cut(h.mailed(t, email), "?token=")
	must(t, h.accounts.VerifyEmail(t.Context(), token))
	u, err := h.accounts.FindByEmail(t.Context(), email)
	must(t, err)
	return u
}

// browser keeps cookies and follows redirects as far as they stay at the server.
func (h *harness) browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), h.url) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

// page is what a browser got.
type page struct {
	status int
	body   string
	header http.Header
	to     *url.URL // where it leads, outside of the server
}

func do(t *testing.T, b *http.Client, r *http.Request) page {
	t.Helper()
	res, err := b.Do(r)
	must(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	must(t, err)
	p := page{status: res.StatusCode, body: string(raw), header: res.Header}
	if l := res.Header.Get("Location"); l != "" {
		p.to, err = url.Parse(l)
		must(t, err)
	}
	return p
}

func get(t *testing.T, b *http.Client, address string) page {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	must(t, err)
	return do(t, b, r)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`)

// fill takes over what a form on a page has hidden, and adds fields: name, value, ...
func (p page) fill(fields ...string) url.Values {
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(p.body, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return form
}

func (h *harness) submit(t *testing.T, b *http.Client, path string, form url.Values, headers ...string) page {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", h.url+path, strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", h.url)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return do(t, b, r)
}

// config is what a program that uses golang.org/x/oauth2 has.
func (h *harness) config(client, redirect string, scopes ...string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: client, RedirectURL: redirect, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: h.url + "/oauth2/authorize", TokenURL: h.url + "/oauth2/token"},
	}
}

var netipNone netip.Addr // a login of nobody's address

func anyVersion(int64) error { return nil }

const loopbackURI = "http://127.0.0.1:43210/callback"

// login goes through the login page to the client's redirect URI.
func (h *harness) login(t *testing.T, b *http.Client, address, email string) page {
	t.Helper()
	p := get(t, b, address)
	if p.to != nil || p.status != 200 {
		t.Fatalf("no login page: %d %s %s", p.status, p.to, p.body)
	}
	return h.submit(t, b, "/oauth2/login", p.fill("email", email, "password", password))
}

// code gets a code of the client "shop" for a user.
func (h *harness) code(t *testing.T, u app.User, scopes ...string) (code, verifier string) {
	t.Helper()
	verifier = oauth2.GenerateVerifier()
	p := h.login(t, h.browser(t), h.config("shop", loopbackURI, scopes...).AuthCodeURL("state-1", oauth2.S256ChallengeOption(verifier)), u.Email)
	if p.to == nil || p.to.Query().Get("code") == "" {
		t.Fatalf("no code: %d %v %s", p.status, p.to, p.body)
	}
	return p.to.Query().Get("code"), verifier
}

// answer of an endpoint for programs, whichever.
type answer struct {
	status  int
	header  http.Header
	Access  string   `json:"access_token"`
	Refresh string   `json:"refresh_token"`
	Type    string   `json:"token_type"`
	Scope   string   `json:"scope"`
	Expires int      `json:"expires_in"`
	Error   string   `json:"error"`
	About   string   `json:"error_description"`
	Active  bool     `json:"active"`
	Subject string   `json:"sub"`
	Client  string   `json:"client_id"`
	Aud     []string `json:"aud"`
}

// call posts a form: name, value, ...; a secret for HTTP Basic may come with the name "basic".
func (h *harness) call(t *testing.T, path string, fields ...string) (a answer) {
	t.Helper()
	form, user, secret := url.Values{}, "", ""
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "basic" {
			user, secret, _ = strings.Cut(fields[i+1], ":")
			continue
		}
		form.Add(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", h.url+path, strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user != "" {
		r.SetBasicAuth(url.QueryEscape(user), url.QueryEscape(secret))
	}
	return h.send(t, r)
}

func (h *harness) send(t *testing.T, r *http.Request) (a answer) {
	t.Helper()
	res, err := (&http.Client{Timeout: 20 * time.Second}).Do(r)
	if err != nil {
		t.Error(err)
		return a
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Errorf("%s answers %d %q", r.URL, res.StatusCode, raw)
		}
	}
	a.status, a.header = res.StatusCode, res.Header
	return a
}

func (h *harness) redeem(t *testing.T, code, verifier string) answer {
	t.Helper()
	return h.call(t, "/oauth2/token", "grant_type", "authorization_code", "client_id", "shop", "code", code, "redirect_uri", loopbackURI, "code_verifier", verifier)
}

func (h *harness) refresh(t *testing.T, token string, more ...string) answer {
	t.Helper()
	return h.call(t, "/oauth2/token", append([]string{"grant_type", "refresh_token", "refresh_token", token}, orClient(more, "shop")...)...)
}

func orClient(fields []string, client string) []string {
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "client_id" || fields[i] == "basic" {
			return fields
		}
	}
	return append(fields, "client_id", client)
}

// tokens logs a user in with the client "shop".
func (h *harness) tokens(t *testing.T, u app.User, scopes ...string) answer {
	t.Helper()
	code, verifier := h.code(t, u, scopes...)
	a := h.redeem(t, code, verifier)
	if a.status != 200 || a.Refresh == "" {
		t.Fatalf("no tokens: %+v", a)
	}
	return a
}
