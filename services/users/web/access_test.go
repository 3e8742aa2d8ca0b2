package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/services/users/app"
)

// who asks, in the order of the columns of the table below.
var who = []string{"anonymous", "expired", "wrong audience", "service", "customer", "support", "merchandiser", "admin"}

// table asks every route as everybody. On me-routes all users ask about themselves. On others, the account is another
// customer's; the customer's own is in the last column, and other people's sessions are in sessions.
func (a *api) table(t *testing.T) {
	a.user("root@example.com", "admin") // one admin stays
	users := map[string]app.User{"customer": a.user("customer@example.com")}
	for _, role := range []string{"support", "merchandiser", "admin"} {
		users[role] = a.user(role+"@example.com", role)
	}
	target := a.user("target@example.com")
	tokenOf := func(name string) string {
		switch name {
		case "anonymous":
			return ""
		case "expired":
			return a.issuer.Expired("admin")
		case "wrong audience":
			return a.issuer.WrongAudience("admin")
		case "service":
			return a.issuer.Client("orders", "users:read", "orders:read", "account")
		}
		return a.token(users[name], uuid.New())
	}
	with := func(c call, match string) call {
		c.headers = ifMatch(match)
		return c
	}
	verify := call{method: "POST", path: "/v1/email-verifications", body: `{"token":"smv_x"}`}
	reset := call{method: "POST", path: "/v1/password-resets/confirm", body: fmt.Sprintf(`{"token":"spr_x","new_password":%q}`, password)}
	mine := func(method, path string) call { return call{method: method, path: "/v1/users/me" + path} }
	password := mine("PUT", "/password")
	password.body = `{"current_password":"kettle moss window","new_password":"kettle moss window 2"}`
	their := "/v1/users/" + target.ID.String()
	const all = "202 202 202 202 202 202 202 202"
	for _, x := range []struct {
		call
		want string // a status for each of who
	}{
		{register("new@example.com"), all},
		{verify, strings.ReplaceAll(all, "202", "422")},
		{call{method: "POST", path: "/v1/email-verifications/resend", body: `{"email":"a@example.com"}`}, all},
		{call{method: "POST", path: "/v1/password-resets", body: `{"email":"a@example.com"}`}, all},
		{reset, strings.ReplaceAll(all, "202", "422")},
		{logIn(target.Email, "kettle moss window"), strings.ReplaceAll(all, "202", "201")},
		{mine("GET", ""), "401 401 401 403 200 200 200 200"},
		{with(call{method: "PATCH", path: "/v1/users/me", body: `{"name":"Grace"}`}, "*"), "401 401 401 403 200 200 200 200"},
		{mine("GET", "/export"), "401 401 401 403 200 200 200 200"},
		{mine("GET", "/sessions"), "401 401 401 403 200 200 200 200"},
		{mine("DELETE", "/sessions"), "401 401 401 403 204 204 204 204"},
		{mine("DELETE", "/sessions/0197a3c1-02b4-7d0e-8a33-5b0c9d1e2f60"), "401 401 401 403 404 404 404 404"},
		{password, "401 401 401 403 204 204 204 204"},
		{call{method: "GET", path: "/v1/users?email=target@example.com"}, "401 401 401 200 403 200 403 200"},
		{call{method: "GET", path: their}, "401 401 401 200 403 200 403 200"},
		{with(call{method: "PUT", path: their + "/roles", body: `{"roles":["customer"]}`}, "*"), "401 401 401 403 403 403 403 200"},
		{call{method: "POST", path: "/internal/mails/" + uuid.NewString()}, "401 401 401 401 401 401 401 401"},
		{call{method: "POST", path: "/internal/contacts", body: `{"ids":["` + target.ID.String() + `"]}`}, "401 401 401 401 401 401 401 401"},
		{call{method: "POST", path: "/internal/mails/" + uuid.NewString(), peer: "gateway"}, "403 403 403 403 403 403 403 403"},
		{call{method: "POST", path: "/internal/contacts", body: `{"ids":["` + target.ID.String() + `"]}`, peer: "gateway"}, "403 403 403 403 403 403 403 403"},
		{call{method: "POST", path: "/internal/mails/" + uuid.NewString(), peer: "notifications"}, "410 410 410 410 410 410 410 410"},
		{call{method: "POST", path: "/internal/contacts", body: `{"ids":["` + target.ID.String() + `"]}`, peer: "notifications"}, strings.ReplaceAll(all, "202", "200")},
		{call{method: "GET", path: "/openapi.yaml"}, strings.ReplaceAll(all, "202", "200")},
		{mine("DELETE", ""), "401 401 401 403 204 204 204 204"}, // last: then they are gone
	} {
		var got []string
		for _, name := range who {
			c := x.call
			c.token, c.wrong = tokenOf(name), true
			r := a.do(c)
			got = append(got, fmt.Sprint(r.StatusCode))
			if challenge := r.Header.Get("WWW-Authenticate"); r.StatusCode == 401 && !strings.HasPrefix(challenge, "Bearer") {
				t.Errorf("%s %s as %s: WWW-Authenticate: %q", c.method, c.path, name, challenge)
			}
		}
		if strings.Join(got, " ") != x.want {
			t.Errorf("%s %s:\n got %s\nwant %s\n for %s", x.method, x.path, strings.Join(got, " "), x.want, strings.Join(who, ", "))
		}
	}
}

// A customer cannot be reached by another way than me, be it the own account; nor does a role in the token help without its scope.
func (a *api) scopes(t *testing.T) {
	user := a.user(ada)
	claims := a.issuer.Claims("customer", "admin")
	claims["sub"], claims["scope"] = user.ID.String(), "orders"
	adminByName := a.issuer.Sign(claims)
	for _, x := range []struct {
		token, path string
		want        int
	}{
		{a.token(user, uuid.New()), "/v1/users/" + user.ID.String(), 403},
		{adminByName, "/v1/users/" + user.ID.String(), 403},
		{adminByName, "/v1/users/me", 403},
		{adminByName, "/v1/users?email=" + ada, 403},
	} {
		got := a.want(x.want, call{method: "GET", path: x.path, token: x.token})
		if code := got.code(t); code != "insufficient-scope" {
			t.Errorf("%s: %s", x.path, code)
		}
	}
}

// Whoever has lost the role may not act with a token from before, not even in the seconds until it is refused.
func (a *api) lostRole(t *testing.T) {
	a.user("root@example.com", "admin")
	lost := a.user("lost@example.com", "admin")
	target := a.user(ada)
	old := a.token(lost, uuid.New())
	if _, err := a.accounts.SetRoles(t.Context(), uuid.Nil, lost.ID, nil, []string{"customer"}); err != nil {
		t.Fatal(err)
	}
	give := call{method: "PUT", path: "/v1/users/" + target.ID.String() + "/roles", body: `{"roles":["admin"]}`, token: old, headers: ifMatch("*")}
	if got := a.do(give); got.code(t) != "role-lost" && got.code(t) != "token-revoked" {
		t.Errorf("%s %s", got.Status, got.body)
	}
	a.refusedSoon(old)
	give.token = a.token(lost, uuid.New()) // with the scopes of before: a forged or leaked one
	if got := a.do(give); got.StatusCode < 400 {
		t.Errorf("%s %s", got.Status, got.body)
	}
}

func (a *api) roles(t *testing.T) {
	root := a.user("root@example.com", "admin")
	target := a.user(ada)
	token, old := a.token(root, uuid.New()), a.token(target, uuid.New())
	put := func(status int, id uuid.UUID, tag, body string) answer {
		t.Helper()
		c := call{method: "PUT", path: "/v1/users/" + id.String() + "/roles", body: body, token: token, wrong: status >= 400}
		if tag != "" {
			c.headers = ifMatch(tag)
		}
		return a.want(status, c)
	}
	put(428, target.ID, "", `{"roles":["support"]}`)
	put(412, target.ID, `"1"`, `{"roles":["support"]}`)
	put(400, target.ID, `7`, `{"roles":["support"]}`)
	for _, body := range []string{`{"roles":[]}`, `{}`, `{"roles":null}`, `{"roles":["root"]}`, `{"roles":["customer","admin","support","merchandiser","customer"]}`, `{"roles":["Admin"]}`} {
		if got := put(422, target.ID, "*", body); got.code(t) != "invalid-roles" {
			t.Errorf("%s: %s", body, got.body)
		}
	}
	for _, body := range []string{`{"roles":"admin"}`, `{"roles":[1]}`, `{"roles":[["admin"]]}`, `{"roles":["support"],"id":"x"}`, `["admin"]`} {
		put(400, target.ID, "*", body)
	}
	put(404, uuid.New(), "*", `{"roles":["support"]}`)
	if got := put(409, root.ID, "*", `{"roles":["customer"]}`); got.code(t) != "last-admin" {
		t.Errorf("%s", got.body)
	}
	tag := fmt.Sprintf(`"%d"`, target.Version)
	got := put(200, target.ID, tag, `{"roles":["support","customer","support"]}`)
	if now := decode[app.User](t, got.body); strings.Join(now.Roles, " ") != "customer support" || got.Header.Get("Etag") == tag {
		t.Errorf("%s %v", got.body, got.Header)
	}
	put(412, target.ID, tag, `{"roles":["customer"]}`)
	a.refusedSoon(old)
	if got := a.do(call{method: "DELETE", path: "/v1/users/me", token: token}); got.StatusCode != 409 || got.code(t) != "last-admin" {
		t.Errorf("%s %s", got.Status, got.body)
	}
}

func (a *api) stepUp(t *testing.T) {
	user := a.user(ada)
	aged := func(age time.Duration) string {
		claims := a.issuer.Claims()
		claims["sub"], claims["auth_time"] = user.ID.String(), time.Now().Add(-age).Unix()
		return a.issuer.Sign(claims)
	}
	erase := call{method: "DELETE", path: "/v1/users/me", token: aged(6 * time.Minute)}
	got := a.want(401, erase)
	if challenge := got.Header.Get("WWW-Authenticate"); got.code(t) != "insufficient-user-authentication" ||
		!strings.Contains(challenge, `error="insufficient_user_authentication"`) || !strings.Contains(challenge, "max_age=300") {
		t.Errorf("%q %s", challenge, got.body)
	}
	a.want(200, call{method: "GET", path: "/v1/users/me", token: erase.token})
	erase.token = aged(4 * time.Minute)
	a.want(204, erase)
}

func (a *api) find(t *testing.T) {
	user := a.user(ada)
	token := a.issuer.Client("support-desk", "users:read")
	get := func(status int, path string) string {
		t.Helper()
		return string(a.want(status, call{method: "GET", path: path, token: token, wrong: status >= 400}).body)
	}
	one := get(200, "/v1/users/"+user.ID.String())
	for _, query := range []string{"ada@example.com", "ADA@Example.com", "ada%40example.com"} {
		if got := get(200, "/v1/users?email="+query); got != `{"items":[`+one+`]}` {
			t.Errorf("%s: %s", query, got)
		}
	}
	if got := get(200, "/v1/users?email=eve@example.com"); got != `{"items":[]}` {
		t.Error(got)
	}
	for _, query := range []string{"", "?email=", "?email=ada", "?email=%C3%A4da@example.com", "?email=ada@example.com&email=eve@example.com", "?mail=ada@example.com", "?email=ada@example.com&limit=10"} {
		get(400, "/v1/users"+query)
	}
	for _, id := range []string{uuid.NewString(), "1", strings.ToUpper(user.ID.String()), "{" + user.ID.String() + "}", "urn:uuid:" + user.ID.String(), "%27%20OR%201=1--", strings.ReplaceAll(user.ID.String(), "-", "")} {
		get(404, "/v1/users/"+id)
	}
	get(400, "/v1/users/"+user.ID.String()+"?fields=email")
}
