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
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"

	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/internal/tokens/tokenstest"
	httpserver "souk/internal/web"
	"souk/services/payments/app"
	"souk/services/payments/provider/sandbox"
	"souk/services/payments/store"
	"souk/services/payments/web"
)

const secret = "whsec_test_3f8a"

// api is the real service on a real port, over mutual TLS, with the sandbox as the bank, and on PostgreSQL in a schema of the test's own.
// Only the key that signs tokens is the test's.
type api struct {
	t        testing.TB
	url      string
	callers  map[string]*http.Client // by the service whose certificate they show; "" shows none
	pool     *postgres.Pool
	store    *store.Store
	issuer   *tokenstest.Issuer
	staff    string // a token with payments:write
	contract validator.Validator
	checking *sync.Mutex // the validator is not for many goroutines
}

func serve(t testing.TB) *api {
	t.Helper()
	pool := postgrestest.Open(t, "payments", postgres.Options{MaxConns: 20})
	journal := &journal{}
	log := slog.New(slog.NewTextHandler(journal, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t.Cleanup(func() { journal.check(t) })
	st := store.New(pool, log)
	if err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := &api{t: t, callers: map[string]*http.Client{}, pool: pool, store: st, issuer: tokenstest.New(t), checking: &sync.Mutex{}}
	a.staff = a.issuer.Scoped("payments:write")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.url = "https://" + l.Addr().String()
	for _, service := range []string{"", "gateway", "reconcile"} {
		conf := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} //nolint:gosec // identity has tests of its own
		if service != "" {
			conf.Certificates = []tls.Certificate{certificate(t, service)}
		}
		transport := &http.Transport{TLSClientConfig: conf, MaxIdleConnsPerHost: 60}
		t.Cleanup(transport.CloseIdleConnections)
		a.callers[service] = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	}
	bank := sandbox.New(pool, sandbox.Options{
		Log: log, URL: a.url + "/v1/provider-webhooks/sandbox", Late: 300 * time.Millisecond, Client: a.callers["gateway"],
		Secrets: func() []string { return []string{secret, "whsec_old"} },
	})
	worker := app.NewWorker(st, []app.Provider{bank}, app.WorkerOptions{Log: log, Poll: 50 * time.Millisecond})
	payments := app.New(st, worker, app.Options{
		Provider: func() string { return sandbox.Name }, Providers: []app.Provider{bank}, Wait: 1500 * time.Millisecond, Again: 20 * time.Millisecond,
	})
	document, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a.contract = contract(t, document)
	server := httpserver.New(httpserver.Options{Service: "payments", Log: log, DrainDelay: time.Millisecond, BodyLimit: 256 << 10, TrustForwarded: true})
	web.Routes(server.App(), web.Options{Payments: payments, Verifier: a.issuer.Verifier(), PageSize: func() int { return 2 }, OpenAPI: document})
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { bank.Run(ctx) })
	done.Go(func() { worker.Run(ctx) })
	done.Go(func() {
		err := server.Serve(ctx, tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate(t, "payments")}, ClientAuth: tls.RequestClientCert}))
		if err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		done.Wait()
	})
	return a
}

// contract is openapi.yaml, ready to check requests and answers.
func contract(t testing.TB, text []byte) validator.Validator {
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	v, problems := validator.NewValidator(document, config.WithFormatAssertions())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return v
}

// journal keeps what is logged, in which there must be no secret.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) check(t testing.TB) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		if strings.Contains(line, "whsec_") || strings.Contains(line, "eyJ") {
			t.Errorf("a secret is logged: %s", line)
		}
		if t.Failed() && strings.Contains(line, "level=ERROR") {
			t.Log(line)
		}
	}
}

// call is a request. One that is wrong on purpose is not checked against the contract, its answer always is.
type call struct {
	method, path, body string
	token              string // of Authorization: Bearer
	key                string // Idempotency-Key
	peer               string // the service whose certificate is shown
	header             http.Header
	wrong              bool
}

// answer is what came back: an intent, a refund, a page or a problem.
type answer struct {
	status int
	header http.Header
	body   []byte
	app.View
	Refund app.RefundView
	Code   string
	Items  []jsontext.Value
	Next   string
}

func (a *api) do(c call) answer {
	a.t.Helper()
	request, err := http.NewRequest(c.method, a.url+c.path, strings.NewReader(c.body))
	if err != nil {
		a.t.Fatal(err)
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	for name, value := range map[string]string{"Authorization": c.token, "Idempotency-Key": c.key, "Content-Type": c.body} {
		switch {
		case value == "" || request.Header.Get(name) != "":
		case name == "Authorization":
			request.Header.Set(name, "Bearer "+value)
		case name == "Content-Type":
			request.Header.Set(name, httpserver.JSONType)
		default:
			request.Header.Set(name, value)
		}
	}
	response, err := a.callers[c.peer].Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	got := answer{status: response.StatusCode, header: response.Header}
	if got.body, err = io.ReadAll(response.Body); err != nil {
		a.t.Fatal(err)
	}
	a.check(c, request, response, got.body)
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		var rest struct {
			Code  string           `json:"code"`
			Items []jsontext.Value `json:"items"`
			Next  string           `json:"next"`
		}
		for _, into := range []any{&got.View, &got.Refund, &rest} {
			_ = json.Unmarshal(got.body, into)
		}
		got.Code, got.Items, got.Next = rest.Code, rest.Items, rest.Next
	}
	return got
}

// check holds request and answer against openapi.yaml, and against what holds for all: no answer may be cached.
func (a *api) check(c call, request *http.Request, response *http.Response, body []byte) {
	a.t.Helper()
	a.checking.Lock()
	defer a.checking.Unlock()
	request.Body, response.Body = io.NopCloser(strings.NewReader(c.body)), io.NopCloser(bytes.NewReader(body))
	label := fmt.Sprintf("%s %.100s %.200s -> %s %.300s", c.method, c.path, c.body, response.Status, body)
	if !c.wrong {
		if ok, problems := a.contract.ValidateHttpRequest(request); !ok {
			for _, p := range problems {
				a.t.Errorf("request: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
			}
		}
	}
	if got := response.Header.Get("Cache-Control"); got != "no-store" && c.path != "/openapi.yaml" {
		a.t.Errorf("%s: Cache-Control: %q", label, got)
	}
	if response.StatusCode == http.StatusNotModified || response.StatusCode == http.StatusNoContent {
		return
	}
	if ok, problems := a.contract.ValidateHttpResponse(request, response); !ok {
		for _, p := range problems {
			a.t.Errorf("answer: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
		}
	}
}

func (a *api) want(status int, c call) answer {
	a.t.Helper()
	if c.token == "" {
		c.token = a.staff
	}
	got := a.do(c)
	if got.status != status {
		a.t.Fatalf("%s %s %.200s: %d, want %d: %s", c.method, c.path, c.body, got.status, status, got.body)
	}
	return got
}

// intent makes one, to be captured by hand unless more says otherwise.
func (a *api) intent(amount int64, method string) answer {
	a.t.Helper()
	return a.want(201, call{method: "POST", path: "/v1/payment-intents", key: uuid.NewString(),
		body: fmt.Sprintf(`{"amount":{"amount":%d,"currency":"EUR"},"payment_method":%q,"capture_method":"manual"}`, amount, method)})
}

func (a *api) move(status int, i answer, move string) answer {
	a.t.Helper()
	return a.want(status, call{method: "POST", path: "/v1/payment-intents/" + i.ID.String() + "/" + move})
}

func (a *api) refund(status int, i answer, key, amount string) answer {
	a.t.Helper()
	if amount != "" {
		amount = `,"amount":` + amount
	}
	return a.want(status, call{method: "POST", path: "/v1/refunds", key: key, body: `{"payment_intent_id":"` + i.ID.String() + `","reason":"damaged"` + amount + `}`})
}

// entries are how often the bank has done something for a payment.
func (a *api) entries(intent uuid.UUID, outcome app.Outcome) (n int) {
	a.t.Helper()
	err := a.pool.QueryRow(a.t.Context(), "SELECT count(*) FROM sandbox_entries WHERE payment = $1 AND outcome = $2", intent, string(outcome)).Scan(&n)
	if err != nil {
		a.t.Fatal(err)
	}
	return n
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
