package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"souk/internal/identity"
	"souk/internal/postgres"
	"souk/internal/testenv"
	"souk/internal/tokens/tokenstest"
	"souk/services/payments/app"
)

// service is the whole program on the real servers: it runs with the identity of its own Nomad job, in a schema that
// no other test uses.
type service struct {
	url     string
	gateway *http.Client // calls as the gateway does
	itself  *http.Client // calls as this service, which may not
	issuer  *tokenstest.Issuer
	token   string // of calls that bring no other
}

func start(t *testing.T) service {
	t.Helper()
	env := testenv.Start(t)
	env.Workload(t, name).Setenv(t)
	itself := login(t, identity.FromEnv(name))
	useOwnSchema(t, env, itself)
	gateway := login(t, identity.Options{
		Service: "gateway", VaultAddr: env.VaultAddr(), JWTFile: filepath.Join(env.Workload(t, "gateway").Secrets, "nomad_vault.jwt"),
	})
	// The keys are known from before, as after a restart; nobody has to ask for them.
	issuer := tokenstest.New(t)
	issuer.KeepIn(filepath.Join(os.Getenv("NOMAD_ALLOC_DIR"), "data"))
	t.Setenv("SOUK_ISSUER", tokenstest.URL)
	listen, admin := freeAddress(t), freeAddress(t)
	t.Setenv("NOMAD_ADDR_https", listen)
	t.Setenv("NOMAD_ADDR_admin", admin)

	ctx, stop := context.WithCancel(context.Background()) // the schema outlives it
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with: %v", err)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); !ready(admin); time.Sleep(20 * time.Millisecond) {
		if len(ended) > 0 || time.Now().After(deadline) {
			t.Fatal("the service did not get ready")
		}
	}
	return service{
		url: "https://" + listen, gateway: client(t, gateway), itself: client(t, itself),
		issuer: issuer, token: issuer.Scoped("payments:write"),
	}
}

func login(t *testing.T, opts identity.Options) *identity.Identity {
	t.Helper()
	id, err := identity.Login(limited(t, 30*time.Second), opts, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := id.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return id
}

// useOwnSchema makes a schema and has every later connection of this process work in it.
func useOwnSchema(t *testing.T, env *testenv.Env, id *identity.Identity) {
	t.Helper()
	ctx := limited(t, 30*time.Second)
	credentials, err := id.Database(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(ctx, credentials, env.PostgresAddr, name, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	schema := pgx.Identifier{"test_" + uuid.NewString()}.Sanitize()
	exec := func(sql string) {
		err := postgres.Tx(context.Background(), pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), sql)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	exec("CREATE SCHEMA " + schema)
	t.Setenv("PGOPTIONS", "-c search_path="+schema)
	t.Cleanup(func() {
		exec("DROP SCHEMA " + schema + " CASCADE")
		if err := pool.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// client calls the service with an identity, and finds whatever in an answer is not as openapi.yaml says.
func client(t *testing.T, id *identity.Identity) *http.Client {
	t.Helper()
	certificate, err := id.Certificate(limited(t, 30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	document, err := libopenapi.NewDocument(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	v, problems := validator.NewValidator(document)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	transport := &http.Transport{TLSClientConfig: certificate.ClientTLS(name)}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: &checked{t: t, transport: transport, validator: v}, Timeout: 10 * time.Second}
}

type checked struct {
	t         *testing.T
	transport *http.Transport
	mu        sync.Mutex // the validator is not for many goroutines
	validator validator.Validator
}

func (c *checked) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok, problems := c.validator.ValidateHttpResponse(req, res); !ok {
		c.t.Errorf("the answer to %s %s is not as openapi.yaml says: %v", req.Method, req.URL, problems)
	}
	return res, nil
}

func ready(admin string) bool {
	res, err := http.Get("http://" + admin + "/readyz")
	return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr())
}

func limited(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestTheProgramTakesPayments(t *testing.T) {
	s := start(t)
	call := func(as *http.Client, status int, method, path, body string) (answer app.View) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.token)
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Idempotency-Key", uuid.NewString())
		}
		res, err := as.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != status {
			t.Fatalf("%s %s: %s %s", method, path, res.Status, raw)
		}
		_ = json.Unmarshal(raw, &answer) // a problem is none
		return answer
	}
	i := call(s.gateway, 201, "POST", "/v1/payment-intents", `{"amount":{"amount":4200,"currency":"EUR"},"payment_method":"pm_sandbox_approve"}`)
	if got := call(s.gateway, 200, "POST", "/v1/payment-intents/"+i.ID.String()+"/confirm", ""); got.Status != app.IsCaptured || got.Captured.Minor != 4200 {
		t.Errorf("confirmed: %+v", got)
	}
	call(s.gateway, 403, "GET", "/internal/reconciliation", "")
	call(s.itself, 403, "GET", "/v1/payment-intents/"+i.ID.String(), "") // no intention allows it
}
