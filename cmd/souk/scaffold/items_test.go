package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"souk/cmd/souk/scaffold/app"
)

const (
	asJSON  = "Content-Type: application/json"
	asPatch = "Content-Type: application/merge-patch+json"
)

// answer is what came back, whichever it was.
type answer struct {
	app.Item
	Code   string     `json:"code"` // of a problem
	Items  []app.Item `json:"items"`
	Next   string     `json:"next"`
	status int
	header http.Header
}

// call sends a request with headers such as "If-Match: *".
func (s service) call(t *testing.T, as *http.Client, method, path, body string, headers ...string) (a answer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	for _, h := range headers {
		key, value, _ := strings.Cut(h, ": ")
		req.Header.Set(key, value)
	}
	res, err := as.Do(req)
	if err != nil {
		t.Error(err)
		return a
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Errorf("%s %s answers %q: %v", method, path, raw, err)
		}
	}
	a.status, a.header = res.StatusCode, res.Header
	return a
}

func (s service) create(t *testing.T, name string, headers ...string) answer {
	t.Helper()
	return s.call(t, s.gateway, "POST", "/v1/items", fmt.Sprintf(`{"name":%q}`, name), append(headers, asJSON)...)
}

func TestTheService(t *testing.T) {
	s := start(t)
	t.Run("an item is created, read and renamed", s.life)
	t.Run("a request with a key has one effect however often it comes", s.once)
	t.Run("pages hold every item once, newest first", s.pages)
	t.Run("what can't be is refused and changes nothing", s.refusals)
	t.Run("a key is its user's own", s.own)
	t.Run("a token needs the scope of the route", s.access)
	t.Run("only allowed services may call", s.callers)
}

func (s service) life(t *testing.T) {
	made := s.create(t, "Lamp")
	path := made.header.Get("Location")
	if made.status != 201 || path != "/v1/items/"+made.ID.String() || made.header.Get("ETag") != `"1"` {
		t.Fatalf("create: %+v", made)
	}
	if read := s.call(t, s.gateway, "GET", path, ""); read.status != 200 || read.Item != made.Item {
		t.Errorf("it was %+v, and is read as %+v", made.Item, read.Item)
	}
	if again := s.call(t, s.gateway, "GET", path, "", `If-None-Match: "1"`); again.status != 304 {
		t.Errorf("the version at hand: %d", again.status)
	}
	rename := func(name string, headers ...string) answer {
		return s.call(t, s.gateway, "PATCH", path, fmt.Sprintf(`{"name":%q}`, name), append(headers, asPatch)...)
	}
	if a := rename("Lantern"); a.status != 428 {
		t.Errorf("without If-Match: %d", a.status)
	}
	if a := rename("Lantern", `If-Match: "1"`); a.status != 200 || a.Name != "Lantern" || a.Version != 2 || a.header.Get("ETag") != `"2"` {
		t.Errorf("renamed: %+v", a)
	}
	if a := rename("Torch", `If-Match: "1"`); a.status != 412 || a.Code != "stale-version" {
		t.Errorf("a stale version: %d %s", a.status, a.Code)
	}
	if a := rename("Lantern", "If-Match: *"); a.status != 200 || a.Version != 2 {
		t.Errorf("the name it has: %+v", a)
	}
	if read := s.call(t, s.gateway, "GET", path, ""); read.Name != "Lantern" || read.Version != 2 || read.CreatedAt != made.CreatedAt {
		t.Errorf("in the end it is %+v", read.Item)
	}
}

func (s service) once(t *testing.T) {
	const key = "Idempotency-Key: 6f0c8f3e"
	before := len(s.all(t, 100))
	answers := make([]answer, 20)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = s.create(t, "Once", key) })
	}
	wg.Wait()
	answers = append(answers, s.create(t, "Once", key))
	var made []answer
	for _, a := range answers {
		switch {
		case a.status == 201:
			made = append(made, a)
		case a.Code != "idempotency-in-flight":
			t.Errorf("got %d %s", a.status, a.Code)
		}
	}
	originals := 0
	for _, a := range made {
		if a.Item != made[0].Item || a.header.Get("Location") != made[0].header.Get("Location") {
			t.Errorf("made %+v and %+v", made[0].Item, a.Item)
		}
		if a.header.Get("Idempotent-Replayed") == "" {
			originals++
		}
	}
	if after := len(s.all(t, 100)); len(made) < 2 || originals != 1 || after != before+1 {
		t.Errorf("%d answers, %d of them the original one, made %d items", len(made), originals, after-before)
	}
	if a := s.create(t, "Another", key); a.status != 422 || a.Code != "idempotency-key-reused" {
		t.Errorf("the key for another request: %d %s", a.status, a.Code)
	}
	if a := s.create(t, "", "Idempotency-Key: 77aa"); a.status != 422 {
		t.Errorf("an invalid item: %d", a.status)
	}
	if a := s.create(t, "Valid", "Idempotency-Key: 77aa"); a.status != 201 {
		t.Errorf("the key of a request that failed: %d %s", a.status, a.Code)
	}
}

func (s service) own(t *testing.T) {
	const key = "Idempotency-Key: 1d3f"
	mine, other := s.create(t, "Mine", key), "Authorization: Bearer "+s.issuer.Scoped("items:write")
	if a := s.create(t, "Theirs", key, other); a.status != 201 || a.ID == mine.ID {
		t.Errorf("another user's: %d %+v", a.status, a.Item)
	}
}

// access calls every route as everybody; 0 stands for what the route answers whom it lets in.
func (s service) access(t *testing.T) {
	item := s.create(t, "Guarded").header.Get("Location")
	callers := []struct{ name, token string }{
		{"anonymous", ""}, {"customer", s.issuer.User("customer")}, {"reader", s.issuer.Scoped("items:read")}, {"writer", s.issuer.Scoped("items:write")},
		{"expired", s.issuer.Expired("admin")}, {"wrong audience", s.issuer.WrongAudience("admin")}, {"service", s.issuer.Client("robot", "items:read", "items:write")},
	}
	for _, r := range []struct {
		method, path, contentType string
		answers                   [7]int
		inside                    int
	}{
		{"GET", "/v1/items", "", [7]int{401, 403, 0, 403, 401, 401, 0}, 200},
		{"GET", item, "", [7]int{401, 403, 0, 403, 401, 401, 0}, 200},
		{"POST", "/v1/items", asJSON, [7]int{401, 403, 403, 0, 401, 401, 0}, 400}, // there is no body
		{"PATCH", item, asPatch, [7]int{401, 403, 403, 0, 401, 401, 0}, 428},      // and no If-Match
		{"GET", "/openapi.yaml", "", [7]int{}, 200},
	} {
		for i, who := range callers {
			headers := []string{"Authorization: "}
			if who.token != "" {
				headers[0] = "Authorization: Bearer " + who.token
			}
			if r.contentType != "" {
				headers = append(headers, r.contentType)
			}
			want := r.answers[i]
			if want == 0 {
				want = r.inside
			}
			if a := s.call(t, s.gateway, r.method, r.path, "", headers...); a.status != want {
				t.Errorf("%s %s by %s: %d %s, want %d", r.method, r.path, who.name, a.status, a.Code, want)
			}
		}
	}
}

// all follows the pages to the end.
func (s service) all(t *testing.T, limit int) (items []app.Item) {
	t.Helper()
	for path := fmt.Sprintf("/v1/items?limit=%d", limit); path != ""; {
		page := s.call(t, s.gateway, "GET", path, "")
		if page.status != 200 || len(page.Items) > limit {
			t.Fatalf("%s: %d with %d items", path, page.status, len(page.Items))
		}
		items, path = append(items, page.Items...), page.Next
	}
	return items
}

func (s service) pages(t *testing.T) {
	var want []app.Item
	for i := range 5 {
		want = append(want, s.create(t, fmt.Sprint("Page ", i)).Item)
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 2, 5, 100} {
		if got := s.all(t, limit); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("by %d: %+v", limit, got)
		}
	}
	if a := s.call(t, s.gateway, "GET", "/v1/items", ""); len(a.Items) > Defaults().PageSize {
		t.Errorf("without a limit: %d items", len(a.Items))
	}
}

func (s service) refusals(t *testing.T) {
	made := s.create(t, "Kept")
	path, match := made.header.Get("Location"), "If-Match: *"
	before := s.all(t, 100)
	for _, c := range []struct {
		status               int
		method, path, body   string
		contentType, ifMatch string
	}{
		{400, "POST", "/v1/items", ``, asJSON, ""},
		{400, "POST", "/v1/items", `{"name":"a"`, asJSON, ""},
		{400, "POST", "/v1/items", `{"name":"a"}{}`, asJSON, ""},
		{400, "POST", "/v1/items", `{"name":"a","name":"b"}`, asJSON, ""},
		{400, "POST", "/v1/items", `{"Name":"a"}`, asJSON, ""},
		{400, "POST", "/v1/items", `{"name":"a","id":"1"}`, asJSON, ""},
		{400, "POST", "/v1/items", `{"name":7}`, asJSON, ""},
		{400, "POST", "/v1/items", "{\"name\":\"\xff\"}", asJSON, ""},
		{413, "POST", "/v1/items", `{"name":"` + strings.Repeat("a", 1<<20) + `"}`, asJSON, ""},
		{415, "POST", "/v1/items", `name=a`, "Content-Type: application/x-www-form-urlencoded", ""},
		{422, "POST", "/v1/items", `{}`, asJSON, ""},
		{422, "POST", "/v1/items", `{"name":"a\nb"}`, asJSON, ""},
		{422, "POST", "/v1/items", `{"name":"` + strings.Repeat("a", app.MaxName+1) + `"}`, asJSON, ""},
		{415, "PATCH", path, `{"name":"a"}`, asJSON, match},
		{400, "PATCH", path, `{"name":"a"}`, asPatch, "If-Match: 1"},
		{412, "PATCH", path, `{"name":"a"}`, asPatch, `If-Match: W/"1"`},
		{422, "PATCH", path, `{"name":null}`, asPatch, match},
		{404, "PATCH", "/v1/items/00000000-0000-7000-8000-000000000000", `{"name":"a"}`, asPatch, match},
		{404, "GET", "/v1/items/1", "", "", ""},
		{404, "GET", strings.Replace(path, "-7", "-07", 1), "", "", ""},
		{400, "GET", path + "?verbose=1", "", "", ""},
		{400, "GET", "/v1/items?limit=0", "", "", ""},
		{400, "GET", "/v1/items?limit=101", "", "", ""},
		{400, "GET", "/v1/items?page=2", "", "", ""},
		{400, "GET", "/v1/items?cursor=x", "", "", ""},
	} {
		var headers []string
		for _, h := range []string{c.contentType, c.ifMatch} {
			if h != "" {
				headers = append(headers, h)
			}
		}
		if a := s.call(t, s.gateway, c.method, c.path, c.body, headers...); a.status != c.status || a.Code == "" {
			t.Errorf("%s %.60s %.60q: %d %s, want %d", c.method, c.path, c.body, a.status, a.Code, c.status)
		}
	}
	if after := s.all(t, 100); !slices.Equal(before, after) {
		t.Errorf("there were\n%+v\nand now there are\n%+v", before, after)
	}
}

func (s service) callers(t *testing.T) {
	if a := s.call(t, s.gateway, "GET", "/openapi.yaml", ""); a.status != 200 {
		t.Errorf("the gateway: %d %s", a.status, a.Code)
	}
	for _, path := range []string{"/v1/items", "/openapi.yaml"} {
		if a := s.call(t, s.itself, "GET", path, ""); a.status != 403 || a.Code != "caller-not-allowed" {
			t.Errorf("%s by the service itself: %d %s", path, a.status, a.Code)
		}
	}
}
