package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"

	"souk/internal/tokens/tokenstest"
	httpserver "souk/internal/web"
	"souk/services/catalog/app"
	"souk/services/catalog/store"
	"souk/services/catalog/store/mongotest"
	"souk/services/catalog/web"
)

// checking: the validator is not safe for concurrent use.
var checking sync.Mutex

// contract is openapi.yaml, ready to check requests and answers.
var contract = sync.OnceValues(func() (validator.Validator, error) {
	text, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		return nil, err
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, err
	}
	v, problems := validator.NewValidator(document, config.WithFormatAssertions())
	if len(problems) > 0 {
		return nil, fmt.Errorf("%v", problems)
	}
	return v, nil
})

func TestTheContractIsAValidOpenAPIDocument(t *testing.T) {
	v, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		t.Errorf("%v", problems)
	}
}

// api is the real service, on a real port and the real store.
type api struct {
	t      testing.TB
	url    string
	issuer *tokenstest.Issuer
	token  string // a merchandiser's, for calls that change something
}

func settings() app.Settings {
	return app.Settings{PageSize: 20, MaxPageSize: 100, PendingPerProduct: 20, PendingProducts: 10_000, TreeAge: time.Second}
}

func serve(t testing.TB) *api {
	t.Helper()
	return serveOn(t, app.New(newStore(t), settings))
}

// newStore is a store on a database of the test's own.
func newStore(t testing.TB) *store.Store {
	t.Helper()
	uri, database := mongotest.Database(t)
	s, err := store.Open(t.Context(), store.Options{URI: uri, Database: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func serveOn(t testing.TB, catalog *app.Catalog) *api {
	t.Helper()
	document, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	server := httpserver.New(httpserver.Options{
		Service: "catalog", Log: slog.New(slog.DiscardHandler), RequestTimeout: 1800 * time.Millisecond, DrainDelay: time.Millisecond,
	})
	issuer := tokenstest.New(t)
	web.Routes(server.App(), catalog, issuer.Verifier(), document)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return &api{t, "http://" + l.Addr().String(), issuer, issuer.User("merchandiser")}
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body []byte
}

// call is a request. One that is wrong on purpose is not checked against the contract,
// its answer always is.
type call struct {
	method, path, body string
	headers            map[string]string
	anonymous          bool
	wrong              bool
	elsewhere          bool // no path of the contract
}

func (a *api) do(c call) answer {
	a.t.Helper()
	got, err := a.try(c)
	if err != nil {
		a.t.Fatal(err)
	}
	return got
}

func (a *api) try(c call) (answer, error) {
	request, err := http.NewRequest(c.method, a.url+c.path, strings.NewReader(c.body))
	if err != nil {
		return answer{}, err
	}
	switch {
	case c.body == "":
	case c.method == http.MethodPatch:
		request.Header.Set("Content-Type", httpserver.MergePatchType)
	default:
		request.Header.Set("Content-Type", httpserver.JSONType)
	}
	if !c.anonymous && c.method != http.MethodGet && c.method != http.MethodHead {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	for name, value := range c.headers {
		request.Header.Set(name, value)
	}
	return a.exchange(http.DefaultClient, request, c)
}

// send is do for a request that was made elsewhere.
func (a *api) send(client *http.Client, request *http.Request, c call) answer {
	a.t.Helper()
	got, err := a.exchange(client, request, c)
	if err != nil {
		a.t.Fatal(err)
	}
	return got
}

func (a *api) exchange(client *http.Client, request *http.Request, c call) (answer, error) {
	response, err := client.Do(request)
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
func (a *api) check(c call, request *http.Request, response *http.Response, body []byte) {
	a.t.Helper()
	checking.Lock()
	defer checking.Unlock()
	v, err := contract()
	if err != nil {
		a.t.Error(err)
		return
	}
	request.Body = io.NopCloser(strings.NewReader(c.body))
	response.Body = io.NopCloser(bytes.NewReader(body))
	label := fmt.Sprintf("%s %.100s %.200s -> %s %.300s", c.method, c.path, c.body, response.Status, body)
	if !c.wrong && c.method != http.MethodHead { // HEAD goes without saying where there is GET
		if ok, problems := v.ValidateHttpRequest(request); !ok {
			for _, p := range problems {
				a.t.Errorf("request: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
			}
		}
	}
	if response.StatusCode == http.StatusNotModified || response.StatusCode == http.StatusNoContent {
		if len(body) > 0 {
			a.t.Errorf("%s has a body", label)
		}
		return
	}
	if c.method == http.MethodHead {
		return
	}
	if !c.elsewhere {
		if ok, problems := v.ValidateHttpResponse(request, response); !ok {
			for _, p := range problems {
				a.t.Errorf("answer: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
			}
		}
	}
	if response.StatusCode >= 400 {
		problem := decode[httpserver.Problem](a.t, body)
		if problem.Status != response.StatusCode || response.Header.Get("Content-Type") != httpserver.ProblemType || problem.Type != "/problems/"+problem.Code {
			a.t.Errorf("%s: not the problem it should be", label)
		}
	}
}

func decode[T any](t testing.TB, body []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(body, &v, json.RejectUnknownMembers(true)); err != nil {
		t.Errorf("decode %.300s: %v", body, err)
	}
	return v
}

func (a answer) code(t testing.TB) string {
	t.Helper()
	if a.StatusCode < 400 {
		return ""
	}
	return decode[httpserver.Problem](t, a.body).Code
}

// pointers are the places that a problem names.
func (a answer) pointers(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, e := range decode[httpserver.Problem](t, a.body).Errors {
		all = append(all, e.Pointer)
	}
	return all
}

func (a *api) want(status int, c call) answer {
	a.t.Helper()
	got := a.do(c)
	if got.StatusCode != status {
		a.t.Fatalf("%s %s %.200s: %s, want %d: %s", c.method, c.path, c.body, got.Status, status, got.body)
	}
	return got
}

func productBody(slug string, more ...string) string {
	return fmt.Sprintf(`{"slug":%q,"title":%q,"status":"active","variants":[{"sku":%q,"price":{"amount":1290,"currency":"EUR"}}]%s}`,
		slug, slug, slug, strings.Join(append([]string{""}, more...), ","))
}

func (a *api) product(slug string, more ...string) app.Product {
	a.t.Helper()
	return decode[app.Product](a.t, a.want(201, call{method: "POST", path: "/v1/products", body: productBody(slug, more...)}).body)
}

func (a *api) category(body string) app.Category {
	a.t.Helper()
	return decode[app.Category](a.t, a.want(201, call{method: "POST", path: "/v1/categories", body: body}).body)
}

func ifMatch(tag string) map[string]string { return map[string]string{"If-Match": tag} }
