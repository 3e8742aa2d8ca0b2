package web_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"

	httpserver "souk/internal/web"
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
		for _, p := range problems {
			t.Errorf("%s: %s %v", p.Message, p.Reason, p.SchemaValidationErrors)
		}
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
	token              string // of Authorization: Bearer
	peer               string // the service whose certificate is shown
	headers            map[string]string
	wrong              bool
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
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range c.headers {
		request.Header.Set(name, value)
	}
	response, err := a.callers[c.peer].Do(request)
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

// check holds request and answer against openapi.yaml, and against what holds for all: no answer may be cached, none shows a secret.
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
	if !c.wrong {
		if ok, problems := v.ValidateHttpRequest(request); !ok {
			for _, p := range problems {
				a.t.Errorf("request: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
			}
		}
	}
	if c.path != "/openapi.yaml" {
		if got := response.Header.Get("Cache-Control"); got != "no-store" {
			a.t.Errorf("%s: Cache-Control: %q", label, got)
		}
		if strings.Contains(string(body), "$argon2") || strings.Contains(string(body), password) {
			a.t.Errorf("%s: shows a secret", label)
		}
	}
	if response.StatusCode == http.StatusNotModified || response.StatusCode == http.StatusNoContent {
		if len(body) > 0 {
			a.t.Errorf("%s has a body", label)
		}
		return
	}
	if ok, problems := v.ValidateHttpResponse(request, response); !ok {
		for _, p := range problems {
			a.t.Errorf("answer: %s\n  %s %s %v", label, p.Message, p.Reason, p.SchemaValidationErrors)
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

// refuses reports whether a problem has this code and, unless "", names this place.
func (a answer) refuses(t testing.TB, code, pointer string) bool {
	t.Helper()
	if a.StatusCode < 400 {
		return false
	}
	p := decode[httpserver.Problem](t, a.body)
	return p.Code == code && (pointer == "" || slices.ContainsFunc(p.Errors, func(e httpserver.ProblemError) bool { return e.Pointer == pointer }))
}

func (a *api) want(status int, c call) answer {
	a.t.Helper()
	got := a.do(c)
	if got.StatusCode != status {
		a.t.Fatalf("%s %s %.200s: %s, want %d: %s", c.method, c.path, c.body, got.Status, status, got.body)
	}
	return got
}

func ifMatch(tag string) map[string]string { return map[string]string{"If-Match": tag} }
