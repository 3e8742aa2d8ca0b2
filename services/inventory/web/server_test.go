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
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"

	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/internal/tokens/tokenstest"
	httpserver "souk/internal/web"
	"souk/services/inventory/app"
	"souk/services/inventory/store"
	"souk/services/inventory/web"
)

// api is the real service on a real port, over mutual TLS, and on PostgreSQL in a schema of the test's own. Only the key
// that signs tokens is the test's.
type api struct {
	testing.TB
	url      string
	callers  map[string]*http.Client // by the service whose certificate they show; "" shows none
	pool     *postgres.Pool
	store    *store.Store
	issuer   *tokenstest.Issuer
	token    string // of calls that bring no other
	contract validator.Validator
	checking *sync.Mutex // the validator is not for many goroutines
}

func serve(t testing.TB) api {
	t.Helper()
	document, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := libopenapi.NewDocument(document)
	if err != nil {
		t.Fatal(err)
	}
	contract, problems := validator.NewValidator(parsed, config.WithFormatAssertions())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	pool := postgrestest.Open(t, "inventory", postgres.Options{})
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	locations := func() []string { return []string{"main", "shop"} }
	st := store.New(pool, locations, log)
	if err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := api{TB: t, callers: map[string]*http.Client{}, pool: pool, store: st, issuer: tokenstest.New(t), contract: contract, checking: &sync.Mutex{}}
	a.token = a.issuer.Scoped("inventory:read", "inventory:write")
	server := httpserver.New(httpserver.Options{Service: "inventory", Log: log, DrainDelay: time.Millisecond, BodyLimit: 16 << 10, TrustForwarded: true})
	web.Routes(server.App(), web.Options{Inventory: app.New(st, locations), PageSize: func() int { return 2 }, Verifier: a.issuer.Verifier(), OpenAPI: document})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.url = "https://" + l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(ctx, tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate(t, "inventory")}, ClientAuth: tls.RequestClientCert}))
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	for _, service := range []string{"", "gateway", "reconcile"} {
		config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} //nolint:gosec // identity has tests of its own
		if service != "" {
			config.Certificates = []tls.Certificate{certificate(t, service)}
		}
		transport := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 50}
		t.Cleanup(transport.CloseIdleConnections)
		a.callers[service] = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	}
	return a
}

// sku makes one known, with this much available at main.
func (a api) sku(available int64) string {
	a.Helper()
	sku := "W-" + uuid.NewString()
	err := postgres.Tx(a.Context(), a.pool, func(tx pgx.Tx) error { return a.store.AddSKUs(a.Context(), tx, []string{sku}) })
	if err != nil {
		a.Fatal(err)
	}
	if available > 0 {
		a.want(201, adjust(sku, fmt.Sprintf(`{"delta":%d,"reason":"received"}`, available)))
	}
	return sku
}

// decide takes commands of orders to their end.
func (a api) decide(commands ...app.Command) {
	a.Helper()
	err := postgres.Tx(a.Context(), a.pool, func(tx pgx.Tx) error { return a.store.Decide(a.Context(), tx, commands) })
	if err != nil {
		a.Fatal(err)
	}
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body []byte
}

// call is a request. One that is wrong on purpose is not checked against the contract, its answer always is.
type call struct {
	method, path, body string
	token              string // "-" for none, "" for the test's own
	peer               string // the service whose certificate is shown; "-" for none, "" for the gateway
	key                string // Idempotency-Key; "-" for none, "" for a new one
	kind               string // Content-Type, if it is not what it should be
	wrong              bool
}

func get(path string) call { return call{method: "GET", path: path} }

func adjust(sku, body string) call {
	return call{method: "POST", path: "/v1/inventory/" + sku + "/adjustments", body: body}
}

func (a api) try(c call) (answer, error) {
	request, err := http.NewRequestWithContext(a.Context(), c.method, a.url+c.path, strings.NewReader(c.body))
	if err != nil {
		return answer{}, err
	}
	switch {
	case c.kind != "":
		request.Header.Set("Content-Type", c.kind)
	case c.method == http.MethodPatch:
		request.Header.Set("Content-Type", httpserver.MergePatchType)
	case c.method == http.MethodPost:
		request.Header.Set("Content-Type", httpserver.JSONType)
	}
	set := func(header, prefix, value, unset string) {
		if value == "" {
			value = unset
		}
		if value != "-" {
			request.Header.Set(header, prefix+value)
		}
	}
	set("Authorization", "Bearer ", c.token, a.token)
	if c.method == http.MethodPost {
		set("Idempotency-Key", "", c.key, uuid.NewString())
	}
	peer := c.peer
	switch peer {
	case "":
		peer = "gateway"
	case "-":
		peer = ""
	}
	response, err := a.callers[peer].Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	a.check(c, request, response, body)
	return answer{response, body}, nil
}

// check holds request and answer against openapi.yaml.
func (a api) check(c call, request *http.Request, response *http.Response, body []byte) {
	a.checking.Lock()
	defer a.checking.Unlock()
	request.Body = io.NopCloser(strings.NewReader(c.body))
	response.Body = io.NopCloser(bytes.NewReader(body))
	label := fmt.Sprintf("%s %.100s %.200s -> %s %.300s", c.method, c.path, c.body, response.Status, body)
	if !c.wrong {
		if ok, problems := a.contract.ValidateHttpRequest(request); !ok {
			for _, p := range problems {
				a.Errorf("request: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
			}
		}
	}
	if ok, problems := a.contract.ValidateHttpResponse(request, response); !ok && (!c.wrong || response.StatusCode != http.StatusNotFound) {
		for _, p := range problems {
			a.Errorf("answer: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
		}
	}
	if got := response.Header.Get("Cache-Control"); response.StatusCode < 300 && c.path != "/openapi.yaml" && got != "no-store" {
		a.Errorf("%s: Cache-Control: %q", label, got)
	}
	if response.StatusCode >= 400 {
		p := decode[httpserver.Problem](a, body)
		if p.Status != response.StatusCode || response.Header.Get("Content-Type") != httpserver.ProblemType || p.Type != "/problems/"+p.Code {
			a.Errorf("%s: not the problem it should be", label)
		}
	}
}

func (a api) want(status int, c call) answer {
	a.Helper()
	got, err := a.try(c)
	if err != nil {
		a.Fatal(err)
	}
	if got.StatusCode != status {
		a.Fatalf("%s %.100s %.200s: %s, want %d: %s", c.method, c.path, c.body, got.Status, status, got.body)
	}
	return got
}

func decode[T any](t testing.TB, body []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(body, &v, json.RejectUnknownMembers(true)); err != nil {
		t.Errorf("decode %.300s: %v", body, err)
	}
	return v
}

func (a answer) code(t testing.TB) string { return decode[httpserver.Problem](t, a.body).Code }

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
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
