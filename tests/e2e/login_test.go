package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTenThousandFailedLoginsDoNotSlowOthers guesses one customer's password, all from one address, while others log in.
func TestTenThousandFailedLoginsDoNotSlowOthers(t *testing.T) {
	victim, other := newCustomer(t), newCustomer(t)
	timed := func(c customer, n int) (took []time.Duration) {
		for range n {
			since := time.Now()
			c.logIn(t)
			took = append(took, time.Since(since))
		}
		slices.Sort(took)
		return took
	}
	before := timed(other, 20)

	const guesses, workers = 10_000, 4
	var refused, locked atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			client := &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{}}
			for i := range guesses / workers {
				status, answer, err := fetch(client, "POST", "/v1/sessions", map[string]string{"Authorization": ""},
					map[string]any{"email": victim.email, "password": fmt.Sprintf("not the password %d", i)})
				switch {
				case err == nil && status == http.StatusUnauthorized:
					refused.Add(1)
				case err == nil && status == http.StatusTooManyRequests:
					locked.Add(1)
				default:
					t.Errorf("guess: %d %s %v", status, answer, err)
					return
				}
			}
		})
	}
	began := time.Now()
	during := timed(other, 20)
	newCustomer(t) // who has never been seen at this address
	wg.Wait()
	t.Logf("%d guesses in %s: %d refused after hashing, %d before; another's login took %s (median; longest %s) before and %s (%s) meanwhile",
		guesses, time.Since(began).Round(time.Second), refused.Load(), locked.Load(),
		before[len(before)/2], before[len(before)-1], during[len(during)/2], during[len(during)-1])
	if refused.Load() > 50 {
		t.Errorf("%d guesses were hashed", refused.Load())
	}
	status, header, answer, err := fetchWithHeader(http.DefaultClient, "POST", "/v1/sessions", map[string]string{"Authorization": ""},
		map[string]any{"email": victim.email, "password": victim.password})
	if err != nil || status != http.StatusTooManyRequests {
		t.Fatalf("the account that was guessed at: %d %s %v", status, answer, err)
	}
	if after, err := strconv.Atoi(header.Get("Retry-After")); err != nil || after < 1 || after > 900 {
		t.Errorf("Retry-After: %q", header.Get("Retry-After"))
	}
}

// TestNobodyLearnsWhoHasAnAccount compares what known and unknown addresses are answered.
func TestNobodyLearnsWhoHasAnAccount(t *testing.T) {
	known := newCustomer(t)
	unknown := strings.Replace(known.email, "e2e-", "nobody-", 1)
	for name, ask := range map[string]func(email string) (path string, body map[string]any){
		"login": func(e string) (string, map[string]any) {
			return "/v1/sessions", map[string]any{"email": e, "password": "not the password"}
		},
		"reset": func(e string) (string, map[string]any) { return "/v1/password-resets", map[string]any{"email": e} },
		"resend": func(e string) (string, map[string]any) {
			return "/v1/email-verifications/resend", map[string]any{"email": e}
		},
		"register": func(e string) (string, map[string]any) {
			return "/v1/users", map[string]any{"email": e, "password": "correct horse battery staple 7"}
		},
	} {
		var answers [2]string
		for i, email := range []string{known.email, unknown} {
			path, body := ask(email)
			status, header, answer, err := fetchWithHeader(http.DefaultClient, "POST", path, map[string]string{"Authorization": ""}, body)
			if err != nil {
				t.Fatal(err)
			}
			answers[i] = fmt.Sprintf("%d %d %s", status, len(header), withoutIDs(answer))
		}
		if answers[0] != answers[1] {
			t.Errorf("%s: a known address is answered\n%s\nan unknown one\n%s", name, answers[0], answers[1])
		}
	}
}

// withoutIDs cuts out what differs between any two answers.
func withoutIDs(body []byte) []byte {
	for _, name := range []string{`"request_id":"`, `"trace_id":"`} {
		if before, after, ok := bytes.Cut(body, []byte(name)); ok {
			_, after, _ = bytes.Cut(after, []byte(`"`))
			body = append(bytes.Clone(before), after...)
		}
	}
	return body
}

func TestBadInputToAccountsIsRefusedWithAProblem(t *testing.T) {
	c := newCustomer(t)
	token := c.logIn(t).Access
	for name, ask := range map[string]struct {
		method, path string
		body         any
		want         []int
	}{
		"a role in the registration": {"POST", "/v1/users", map[string]any{"email": "a@example.com", "password": "correct horse battery staple 7", "roles": []string{"admin"}}, []int{400}},
		"a role in the profile":      {"PATCH", whoami, map[string]any{"roles": []string{"admin"}}, []int{400}},
		"an id in the profile":       {"PATCH", whoami, map[string]any{"id": "0190a0a0-0000-7000-8000-000000000000"}, []int{400}},
		"a verified e-mail":          {"PATCH", whoami, map[string]any{"email_verified_at": "2026-01-01T00:00:00Z"}, []int{400}},
		"a Cyrillic a in the e-mail": {"POST", "/v1/users", map[string]any{"email": "\u0430dmin@example.com", "password": "correct horse battery staple 7"}, []int{422}},
		"a full-width at sign":       {"POST", "/v1/users", map[string]any{"email": "admin\uff20example.com", "password": "correct horse battery staple 7"}, []int{422}},
		"a domain of two scripts":    {"POST", "/v1/users", map[string]any{"email": "admin@ex\u0430mple.com", "password": "correct horse battery staple 7"}, []int{422}},
		"two addresses":              {"POST", "/v1/users", map[string]any{"email": "a@example.com, b@example.com", "password": "correct horse battery staple 7"}, []int{422}},
		"a header in the e-mail":     {"POST", "/v1/users", map[string]any{"email": "a@example.com\r\nBcc: b@example.com", "password": "correct horse battery staple 7"}, []int{422}},
		"a password of 1 MB":         {"POST", "/v1/users", map[string]any{"email": "a@example.com", "password": strings.Repeat("x", 1<<20)}, []int{413}},
		"a password of 2 kB":         {"POST", "/v1/users", map[string]any{"email": "a@example.com", "password": strings.Repeat("x", 2<<10)}, []int{422}},
		"a login with 2 kB":          {"POST", "/v1/sessions", map[string]any{"email": c.email, "password": strings.Repeat("x", 2<<10)}, []int{401, 422}},
		"a common password":          {"POST", "/v1/users", map[string]any{"email": "a@example.com", "password": "password123"}, []int{422}},
		"an e-mail as an object":     {"POST", "/v1/sessions", []byte(`{"email":{"$ne":null},"password":"x"}`), []int{400}},
		"a list of passwords":        {"POST", "/v1/sessions", []byte(`{"email":"a@example.com","password":["a","b"]}`), []int{400}},
		"an e-mail twice":            {"POST", "/v1/sessions", []byte(`{"email":"a@example.com","email":"b@example.com","password":"x"}`), []int{400}},
		"a made-up link":             {"POST", "/v1/email-verifications", map[string]any{"token": "smv_" + strings.Repeat("A", 43)}, []int{422}},
		"a made-up reset":            {"POST", "/v1/password-resets/confirm", map[string]any{"token": "spr_" + strings.Repeat("A", 43), "new_password": "correct horse battery staple 7"}, []int{422}},
	} {
		header := map[string]string{"Authorization": ""}
		if ask.path == whoami {
			header = map[string]string{"Authorization": bearer(token), "If-Match": "*", "Content-Type": "application/merge-patch+json"}
		}
		status, answered, answer, err := fetchWithHeader(http.DefaultClient, ask.method, ask.path, header, ask.body)
		if err != nil || !slices.Contains(ask.want, status) || answered.Get("Content-Type") != "application/problem+json" || !bytes.Contains(answer, []byte(`"detail"`)) {
			t.Errorf("%s: %d %s %v, want %v and a problem that says what to change", name, status, answer, err, ask.want)
		}
	}
}
