package web_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"

	httpserver "souk/internal/web"
	"souk/services/orders/app"
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

// call is a request. One that is wrong on purpose is not checked against the contract, its answer always is.
type call struct {
	method, path, body string
	token, key, peer   string
	accept, seen       string // Accept, Last-Event-ID
	wrong              bool
}

// answer is a response with its body read, and what it says.
type answer struct {
	*http.Response
	app.OrderView
	Code  string `json:"code"`
	Items []app.OrderView
	Next  string
	body  string
}

func (a *api) request(c call) *http.Request {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), c.method, a.url+c.path, strings.NewReader(c.body))
	if err != nil {
		a.t.Fatal(err)
	}
	if c.body != "" {
		request.Header.Set("Content-Type", httpserver.JSONType)
	}
	if c.token != "" {
		c.token = "Bearer " + c.token
	}
	for name, value := range map[string]string{"Authorization": c.token, "Idempotency-Key": c.key, "Accept": c.accept, "Last-Event-ID": c.seen} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	return request
}

func (a *api) do(c call) answer {
	a.t.Helper()
	request := a.request(c)
	response, err := a.callers[c.peer].Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	a.check(c, request, response, raw)
	got := answer{Response: response, body: string(raw)}
	switch {
	case response.StatusCode >= 400:
		var p httpserver.Problem
		err = json.Unmarshal(raw, &p)
		got.Code = p.Code
	case len(raw) == 0 || c.path == "/openapi.yaml":
	case strings.HasPrefix(c.path, "/v1/orders") && strings.HasPrefix(got.body, `{"items"`) && !strings.Contains(c.path, "events") && !strings.Contains(c.path, "fulfil"):
		var page struct {
			Items []app.OrderView `json:"items"`
			Next  string          `json:"next"`
		}
		err = json.Unmarshal(raw, &page)
		got.Items, got.Next = page.Items, page.Next
	case strings.HasPrefix(got.body, `{"id"`):
		err = json.Unmarshal(raw, &got.OrderView)
	}
	if err != nil {
		a.t.Errorf("%s %s: %q: %v", c.method, c.path, raw, err)
	}
	return got
}

// check holds request and answer against openapi.yaml.
func (a *api) check(c call, request *http.Request, response *http.Response, body []byte) {
	a.t.Helper()
	checking.Lock()
	defer checking.Unlock()
	v, err := contract()
	if err != nil {
		a.t.Fatal(err)
	}
	request.Body, response.Body = io.NopCloser(strings.NewReader(c.body)), io.NopCloser(bytes.NewReader(body))
	label := fmt.Sprintf("%s %.100s %.200s -> %s %.300s", c.method, c.path, c.body, response.Status, body)
	if !c.wrong && response.StatusCode < 400 {
		if ok, problems := v.ValidateHttpRequest(request); !ok {
			for _, p := range problems {
				a.t.Errorf("request: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
			}
		}
	}
	if got := response.Header.Get("Cache-Control"); c.path != "/openapi.yaml" && got != "no-store" {
		a.t.Errorf("%s: Cache-Control: %q", label, got)
	}
	if response.StatusCode == http.StatusNotModified || response.StatusCode == http.StatusNoContent || strings.HasPrefix(response.Header.Get("Content-Type"), httpserver.EventStreamType) {
		return
	}
	if ok, problems := v.ValidateHttpResponse(request, response); !ok {
		for _, p := range problems {
			a.t.Errorf("answer: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
		}
	}
}

func (a *api) want(status int, c call) answer {
	a.t.Helper()
	got := a.do(c)
	if got.StatusCode != status {
		a.t.Fatalf("%s %s %.200s: %s, want %d: %s", c.method, c.path, c.body, got.Response.Status, status, got.body)
	}
	return got
}
