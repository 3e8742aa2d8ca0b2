package web_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"souk/services/users/app"
)

func (a *api) massAssignment(t *testing.T) {
	user := a.user(ada)
	token := a.token(user, uuid.New())
	for member, value := range map[string]string{
		"roles": `["admin"]`, "role": `"admin"`, "Roles": `["admin"]`, "id": `"0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55"`, "version": `9`, "email_verified_at": `"2026-01-15T09:30:00Z"`,
		"email_verified": `true`, "created_at": `"2026-01-15T09:30:00Z"`, "scope": `"users:roles"`, "password_hash": `"x"`, "tokens_valid_from": `"2026-01-15T09:30:00Z"`, "__proto__": `{}`,
	} {
		for _, c := range []call{
			{method: "POST", path: "/v1/users", body: fmt.Sprintf(`{"email":"eve@example.com","password":%q,"name":"Eve",%q:%s}`, password, member, value)},
			{method: "POST", path: "/v1/sessions", body: fmt.Sprintf(`{"email":%q,"password":%q,%q:%s}`, ada, password, member, value)},
			{method: "PATCH", path: "/v1/users/me", body: fmt.Sprintf(`{"name":"Eve",%q:%s}`, member, value), headers: ifMatch("*")},
			{method: "PATCH", path: "/v1/users/me", body: fmt.Sprintf(`{"addresses":[{"name":"Eve","line1":"1","city":"x","country":"GB",%q:%s}]}`, member, value), headers: ifMatch("*")},
			{method: "PUT", path: "/v1/users/me/password", body: fmt.Sprintf(`{"current_password":%q,"new_password":"pewter lantern 52",%q:%s}`, password, member, value)},
		} {
			c.token, c.wrong = token, true
			if got := a.want(400, c); got.code(t) != "bad-json" || !strings.Contains(string(got.body), "not a known member") {
				t.Errorf("%s %s %s: %s", c.method, c.path, c.body, got.body)
			}
		}
	}
	for _, member := range []string{"email", "roles", "password"} { // what is there, but not for a patch
		a.want(400, call{method: "PATCH", path: "/v1/users/me", body: fmt.Sprintf(`{%q:"eve@example.com"}`, member), token: token, headers: ifMatch("*"), wrong: true})
	}
	if now, err := a.accounts.User(t.Context(), user.ID); err != nil || now.Version != user.Version || now.Name != user.Name {
		t.Errorf("%+v, %v", now, err)
	}
	if _, err := a.accounts.LogIn(t.Context(), "eve@example.com", password, netip.Addr{}); err == nil {
		t.Error("a refused registration made an account")
	}
}

func (a *api) hostileBodies(t *testing.T) {
	user := a.user(ada)
	token := a.token(user, uuid.New())
	routes := []struct{ method, path, first, valid string }{ // first: a member that is text
		{"POST", "/v1/users", "email", register("eve@example.com").body},
		{"POST", "/v1/email-verifications", "token", `{"token":"x"}`},
		{"POST", "/v1/email-verifications/resend", "email", `{"email":"eve@example.com"}`},
		{"POST", "/v1/password-resets", "email", `{"email":"eve@example.com"}`},
		{"POST", "/v1/password-resets/confirm", "token", `{"token":"x","new_password":"x"}`},
		{"POST", "/v1/sessions", "email", logIn(ada, password).body},
		{"PATCH", "/v1/users/me", "name", `{"name":"Eve"}`},
		{"PUT", "/v1/users/me/password", "current_password", `{"current_password":"x","new_password":"x"}`},
	}
	for _, r := range routes {
		member := func(value string) string { return fmt.Sprintf(`{%q:%s}`, r.first, value) }
		for name, x := range map[string]struct {
			body   string
			status int
			code   string
		}{
			"empty":       {" ", 400, "empty-body"},
			"null":        {"null", 400, "bad-json"},
			"array":       {"[" + r.valid + "]", 400, "bad-json"},
			"text":        {`"` + r.first + `"`, 400, "bad-json"},
			"number":      {member("7"), 400, "bad-json"},
			"boolean":     {member("true"), 400, "bad-json"},
			"list":        {member(`["x"]`), 400, "bad-json"},
			"object":      {member(`{"$ne":""}`), 400, "bad-json"},
			"twice":       {strings.Replace(r.valid, "{", fmt.Sprintf(`{%q:"y",`, r.first), 1), 400, "bad-json"},
			"two":         {r.valid + r.valid, 400, "bad-json"},
			"cut off":     {r.valid[:len(r.valid)-1], 400, "bad-json"},
			"no UTF-8":    {member("\"a\xff\""), 400, "bad-json"},
			"half a pair": {member(`"\ud800"`), 400, "bad-json"},
			"NUL":         {member(`"a\u0000"`), 400, "bad-json"},
			"deep":        {member(strings.Repeat("[", 5000)), 400, "bad-json"},
			"too large":   {member(`"` + strings.Repeat("x", 1<<20) + `"`), 413, ""},
			"form":        {r.first + "=x", 400, "bad-json"},
		} {
			c := call{method: r.method, path: r.path, body: x.body, token: token, headers: ifMatch("*"), wrong: true}
			if got := a.do(c); got.StatusCode != x.status || x.code != "" && got.code(t) != x.code {
				t.Errorf("%s %s, %s: %s %s", r.method, r.path, name, got.Status, got.body)
			}
		}
		c := call{method: r.method, path: r.path, body: r.valid, token: token, wrong: true}
		for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-16", "multipart/form-data"} {
			c.headers = map[string]string{"Content-Type": kind, "If-Match": "*"}
			if got := a.do(c); got.StatusCode != 415 {
				t.Errorf("%s %s as %s: %s", r.method, r.path, kind, got.Status)
			}
		}
	}
}

func (a *api) rules(t *testing.T) {
	user := a.user(ada)
	token := a.token(user, uuid.New())
	post := func(email, secret, name, locale string) answer {
		t.Helper()
		return a.want(422, call{method: "POST", path: "/v1/users", wrong: true,
			body: fmt.Sprintf(`{"email":%q,"password":%q,"name":%q,"locale":%q}`, email, secret, name, locale)})
	}
	for _, secret := range []string{"", "short", "password123", "Eve.Moss 2026 x eve.moss", strings.Repeat("x", 100<<10), strings.Repeat("aB3$ xyz ", 20), strings.Repeat("\u0301", 700)} {
		if got := post("eve.moss@example.com", secret, "Eve", "en"); !got.refuses(t, "weak-password", "/password") || secret != "" && strings.Contains(string(got.body), secret) {
			t.Errorf("%.40q: %s", secret, got.body)
		}
	}
	for _, email := range []string{
		"", "eve", "eve@localhost", "еve@example.com", "eve@exаmple.com", "eve@xn--exmple-4nf.com", "eve@xn--80ak6aa92e.com", "ｅve@example.com", "eve@example.com\r\nBcc: all@example.com",
		strings.Repeat("e", 65) + "@example.com", strings.Repeat("x", 90<<10) + "@example.com", "eve@example.com ", "<eve@example.com>", "eve@[192.0.2.1]",
	} {
		if got := post(email, password, "Eve", "en"); !got.refuses(t, "invalid-email", "/email") {
			t.Errorf("%.60q: %s", email, got.body)
		}
		for _, path := range []string{"/v1/email-verifications/resend", "/v1/password-resets"} {
			if got := a.want(422, call{method: "POST", path: path, body: fmt.Sprintf(`{"email":%q}`, email), wrong: true}); !got.refuses(t, "invalid-email", "/email") {
				t.Errorf("%s %.60q: %s", path, email, got.body)
			}
		}
		// At login it is a wrong e-mail like any other; none at all is no login.
		c := logIn(email, password)
		c.headers, c.wrong = map[string]string{"X-Forwarded-For": "198.51.100.7"}, true
		switch got := a.do(c); {
		case email == "" && !got.refuses(t, "missing-credentials", "/email"):
			t.Errorf("no e-mail: %s %s", got.Status, got.body)
		case email != "" && got.StatusCode != 401 && got.StatusCode != 429:
			t.Errorf("%.60q: %s %s", email, got.Status, got.body)
		}
	}
	for _, name := range []string{"", " Eve", "Eve\nMoss", "Eve \u202eMoss", "see https://evil.example", strings.Repeat("x", 101)} {
		if got := post("eve@example.com", password, name, "en"); !got.refuses(t, "invalid-profile", "/name") {
			t.Errorf("%.40q: %s", name, got.body)
		}
	}
	if got := post("eve@example.com", password, "Eve", "en_US.UTF-8; rm"); !got.refuses(t, "invalid-profile", "/locale") {
		t.Errorf("%s", got.body)
	}
	// The right password among look-alikes only.
	for _, secret := range []string{password + " ", " " + password, strings.ToUpper(password), "kettle moss wіndow", password + "\u200b", strings.Repeat("x", 100<<10)} {
		c := logIn(ada, secret)
		c.wrong = true
		if got := a.do(c); got.StatusCode != 401 && got.StatusCode != 429 {
			t.Errorf("%.40q: %s", secret, got.Status)
		}
	}
	for _, body := range []string{`{"phone":"0151 123"}`, `{"locale":""}`, `{"addresses":[{}]}`, `{"addresses":[{"name":"a","line1":"b","city":"c","country":"gb"}]}`,
		`{"addresses":[` + strings.Repeat(`{"name":"a","line1":"b","city":"c","country":"GB"},`, 10) + `{"name":"a","line1":"b","city":"c","country":"GB"}]}`} {
		if got := a.want(422, call{method: "PATCH", path: "/v1/users/me", body: body, token: token, headers: ifMatch("*"), wrong: true}); got.code(t) != "invalid-profile" {
			t.Errorf("%s: %s", body, got.body)
		}
	}
}

func (a *api) race(t *testing.T) {
	user := a.user(ada)
	token := a.token(user, uuid.New())
	statuses := make(chan int, 20)
	for i := range cap(statuses) {
		go func() {
			got, err := a.try(call{
				method: "PATCH", path: "/v1/users/me", token: token, body: fmt.Sprintf(`{"name":"Ada %d"}`, i), headers: ifMatch(fmt.Sprintf(`"%d"`, user.Version)),
			})
			if err != nil {
				t.Error(err)
				statuses <- 0
				return
			}
			statuses <- got.StatusCode
		}()
	}
	count := map[int]int{}
	for range cap(statuses) {
		count[<-statuses]++
	}
	if count[200] != 1 || count[412] != 19 {
		t.Errorf("statuses %v, want one 200 and 19 412", count)
	}
}

// However many register an e-mail at once, and whoever follows which link: there is one account.
func (a *api) raceToRegister(t *testing.T) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got, err := a.try(register(ada)); err != nil || got.StatusCode != 202 {
				t.Error(got.Status, err)
			}
		})
	}
	all.Wait()
	rows, err := a.pool.Query(t.Context(), "SELECT id::text FROM mails")
	if err != nil {
		t.Fatal(err)
	}
	var links []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		got := a.want(200, call{method: "POST", path: "/internal/mails/" + id, peer: "notifications"})
		mail := decode[app.Mail](t, got.body)
		_, link, _ := strings.Cut(mail.Link, "token=")
		links = append(links, link)
	}
	if len(links) == 0 || len(links) > 5 {
		t.Fatalf("%d mails", len(links))
	}
	verified := make(chan int, len(links))
	for _, link := range links {
		go func() {
			got, err := a.try(call{method: "POST", path: "/v1/email-verifications", body: fmt.Sprintf(`{"token":%q}`, link)})
			if err != nil {
				t.Error(err)
				verified <- 0
				return
			}
			verified <- got.StatusCode
		}()
	}
	count := map[int]int{}
	for range links {
		count[<-verified]++
	}
	// Two mails may be about one registration: its link again is no error.
	if count[204] == 0 || count[204]+count[422] != len(links) {
		t.Errorf("statuses %v of %d links, want a 204, else 422", count, len(links))
	}
	var accounts int
	if err := a.pool.QueryRow(t.Context(), "SELECT count(*) FROM users").Scan(&accounts); err != nil || accounts != 1 {
		t.Errorf("%d accounts, %v", accounts, err)
	}
	a.want(201, logIn(ada, password))
}
