package web_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/services/users/app"
	"souk/services/users/web"
)

const ada = "ada@example.com"

func register(email string) call {
	return call{method: "POST", path: "/v1/users", body: fmt.Sprintf(`{"email":%q,"password":%q,"name":"Ada Lovelace","locale":"en-GB"}`, email, password)}
}

func logIn(email, secret string) call {
	return call{method: "POST", path: "/v1/sessions", body: fmt.Sprintf(`{"email":%q,"password":%q}`, email, secret), headers: map[string]string{"User-Agent": "Test/1"}}
}

// loggedIn is another login of Ada's.
func (a *api) loggedIn() web.Tokens {
	a.t.Helper()
	return decode[web.Tokens](a.t, a.want(201, logIn(ada, password)).body)
}

// refusedSoon waits until a token is refused, as a revocation reaches verifiers within seconds.
func (a *api) refusedSoon(token string) {
	a.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got := a.do(call{method: "GET", path: "/v1/users/me", token: token})
		if got.StatusCode == 401 && got.code(a.t) == "token-revoked" {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("the token is still answered with %s %s", got.Status, got.body)
		}
	}
}

func (a *api) life(t *testing.T) {
	a.want(202, register("Ada@Example.com"))
	a.want(401, logIn(ada, password)) // not verified yet
	link := a.link(ada)
	verify := call{method: "POST", path: "/v1/email-verifications", body: fmt.Sprintf(`{"token":%q}`, link)}
	a.want(204, verify)
	a.want(204, verify) // again: it has been done
	made := a.want(201, logIn("ADA@example.com", password))
	tokens := decode[web.Tokens](t, made.body)
	if made.Header.Get("Location") != "/v1/users/me/sessions/"+tokens.SessionID || !strings.HasPrefix(tokens.RefreshToken, "srt_") {
		t.Errorf("%v %s", made.Header, made.body)
	}

	me := call{method: "GET", path: "/v1/users/me", token: tokens.AccessToken}
	got := a.want(200, me)
	user := decode[app.User](t, got.body)
	tag := got.Header.Get("Etag")
	if user.Email != ada || user.Name != "Ada Lovelace" || user.Locale != "en-GB" || tag != fmt.Sprintf(`"%d"`, user.Version) || strings.Join(user.Roles, " ") != "customer" {
		t.Errorf("%s %s", tag, got.body)
	}
	a.want(304, call{method: "GET", path: "/v1/users/me", token: tokens.AccessToken, headers: map[string]string{"If-None-Match": tag}})

	change := func(status int, tag, body string) answer {
		t.Helper()
		c := call{method: "PATCH", path: "/v1/users/me", token: tokens.AccessToken, body: body}
		if tag != "" {
			c.headers = ifMatch(tag)
		}
		c.wrong = status >= 400
		return a.want(status, c)
	}
	change(428, "", `{"name":"Ada King"}`)
	changed := change(200, tag, `{"name":"Ada King","phone":"+442071234567","addresses":[{"name":"Ada King","line1":"12 St James's Square","city":"London","country":"GB"}]}`)
	if now := decode[app.User](t, changed.body); now.Name != "Ada King" || len(now.Addresses) != 1 || now.Version != user.Version+1 {
		t.Errorf("%s", changed.body)
	}
	if code := change(412, tag, `{"name":"Ada"}`).code(t); code != "stale-version" {
		t.Error(code)
	}
	same := change(200, "*", `{"phone":"+442071234567"}`)
	if same.Header.Get("Etag") != changed.Header.Get("Etag") {
		t.Error("a patch that changes nothing makes a version")
	}
	gone := decode[app.User](t, change(200, changed.Header.Get("Etag"), `{"phone":null,"locale":null,"addresses":null}`).body)
	if gone.Phone != "" || gone.Locale != "en" || len(gone.Addresses) != 0 || gone.Name != "Ada King" {
		t.Errorf("%+v", gone)
	}
	if got := change(422, "*", `{"name":null}`); !got.refuses(t, "invalid-profile", "/name") {
		t.Errorf("%s", got.body)
	}

	export := a.want(200, call{method: "GET", path: "/v1/users/me/export", token: tokens.AccessToken})
	data := decode[app.Export](t, export.body)
	if data.User.Email != ada || len(data.Sessions) != 1 || len(data.KnownAddresses) != 1 || !strings.HasPrefix(export.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%v %s", export.Header, export.body)
	}
	type contacts struct {
		Contacts []app.Contact `json:"contacts"`
	}
	contact := call{method: "POST", path: "/internal/contacts", body: `{"ids":["` + user.ID.String() + `","` + uuid.NewString() + `"]}`, peer: "notifications"}
	if got := decode[contacts](t, a.want(200, contact).body).Contacts; len(got) != 1 || got[0].Email != ada || got[0].Name != "Ada King" {
		t.Errorf("%+v", got)
	}
	for _, body := range []string{`{"ids":[]}`, `{"ids":["` + strings.Repeat(uuid.NewString()+`","`, 500) + uuid.NewString() + `"]}`} {
		a.want(422, call{method: "POST", path: contact.path, body: body, peer: contact.peer, wrong: true})
	}

	a.want(204, call{method: "DELETE", path: "/v1/users/me", token: tokens.AccessToken})
	a.refusedSoon(tokens.AccessToken)
	a.want(401, logIn(ada, password))
	if got := decode[contacts](t, a.want(200, contact).body).Contacts; len(got) != 0 {
		t.Errorf("after the erasure: %+v", got)
	}
	var left string
	err := a.pool.QueryRow(t.Context(), "SELECT concat((SELECT string_agg(u::text, ' ') FROM users u), (SELECT count(*) FROM registrations), (SELECT count(*) FROM sessions))").Scan(&left)
	if err != nil || strings.Contains(left, "Ada") || strings.Contains(left, ada) || !strings.HasSuffix(left, "00") {
		t.Errorf("left behind: %s, %v", left, err)
	}
}

func (a *api) sessions(t *testing.T) {
	user := a.user(ada)
	other := a.user("eve@example.com")
	first, second, third := a.loggedIn(), a.loggedIn(), a.loggedIn()
	list := func(token string) (ids string) {
		t.Helper()
		type session struct {
			app.Session
			Current bool `json:"current"`
		}
		for _, s := range decode[struct {
			Items []session `json:"items"`
		}](t, a.want(200, call{method: "GET", path: "/v1/users/me/sessions", token: token}).body).Items {
			switch s.ID.String() {
			case first.SessionID:
				ids += "1"
			case second.SessionID:
				ids += "2"
			case third.SessionID:
				ids += "3"
			}
			if s.Current {
				ids += "*"
			}
			if s.UserAgent != "Test/1" || s.Address == "" || s.CreatedAt.Location() != time.UTC {
				t.Errorf("%+v", s)
			}
		}
		return ids
	}
	if got := list(second.AccessToken); got != "32*1" {
		t.Error(got)
	}
	end := func(status int, token, id string) {
		t.Helper()
		a.want(status, call{method: "DELETE", path: "/v1/users/me/sessions/" + id, token: token})
	}
	end(404, a.token(other, uuid.New()), first.SessionID)
	end(404, second.AccessToken, uuid.NewString())
	end(404, second.AccessToken, "me")
	end(404, second.AccessToken, strings.ToUpper(first.SessionID))
	end(204, second.AccessToken, first.SessionID)
	a.refusedSoon(first.AccessToken)
	end(404, second.AccessToken, first.SessionID)
	if got := list(second.AccessToken); got != "32*" {
		t.Error(got)
	}
	a.want(204, call{method: "DELETE", path: "/v1/users/me/sessions?others=true", token: second.AccessToken})
	a.refusedSoon(third.AccessToken)
	if got := list(second.AccessToken); got != "2*" {
		t.Error(got)
	}
	a.want(400, call{method: "DELETE", path: "/v1/users/me/sessions?others=yes", token: second.AccessToken, wrong: true})
	a.want(400, call{method: "DELETE", path: "/v1/users/me/sessions?other=true", token: second.AccessToken, wrong: true})
	a.want(204, call{method: "DELETE", path: "/v1/users/me/sessions", token: second.AccessToken})
	a.refusedSoon(second.AccessToken)
	if got := list(a.token(user, uuid.New())); got != "" {
		t.Error(got)
	}
}

func (a *api) newPassword(t *testing.T) {
	a.user(ada)
	mine, theirs := a.loggedIn(), a.loggedIn()
	change := func(status int, current, next string) answer {
		t.Helper()
		return a.want(status, call{
			method: "PUT", path: "/v1/users/me/password", token: mine.AccessToken, wrong: status >= 400,
			body: fmt.Sprintf(`{"current_password":%q,"new_password":%q}`, current, next),
		})
	}
	const next = "pewter lantern 52 rain"
	if got := change(422, "wrong", next); !got.refuses(t, "wrong-password", "/current_password") {
		t.Errorf("%s", got.body)
	}
	if got := change(422, password, "password123"); !got.refuses(t, "weak-password", "/new_password") {
		t.Errorf("%s", got.body)
	}
	change(204, password, next)
	a.refusedSoon(theirs.AccessToken)
	a.want(200, call{method: "GET", path: "/v1/users/me", token: mine.AccessToken})
	a.want(401, logIn(ada, password))
	a.want(201, logIn(ada, next))

	// And one who has forgotten it.
	a.want(202, call{method: "POST", path: "/v1/password-resets", body: fmt.Sprintf(`{"email":%q}`, ada)})
	link := a.link(ada)
	reset := func(status int, secret string) answer {
		t.Helper()
		return a.want(status, call{
			method: "POST", path: "/v1/password-resets/confirm", wrong: status >= 400, body: fmt.Sprintf(`{"token":%q,"new_password":%q}`, link, secret),
		})
	}
	if got := reset(422, "short"); !got.refuses(t, "weak-password", "/new_password") {
		t.Errorf("%s", got.body)
	}
	reset(204, password)
	a.refusedSoon(mine.AccessToken)
	if got := reset(422, password); !got.refuses(t, "link-invalid", "/token") {
		t.Errorf("%s", got.body)
	}
	a.want(201, logIn(ada, password))
}

// requestIDs are what differs between any two answers.
var requestIDs = regexp.MustCompile(`"(request_id|trace_id)":"[^"]*"`)

func (a *api) noEnumeration(t *testing.T) {
	a.user(ada)
	a.want(202, register("pending@example.com"))
	emailOnly := func(path string) func(string) call {
		return func(email string) call {
			return call{method: "POST", path: path, body: fmt.Sprintf(`{"email":%q}`, email)}
		}
	}
	for name, question := range map[string]func(email string) call{
		"register": register, "resend": emailOnly("/v1/email-verifications/resend"), "reset": emailOnly("/v1/password-resets"),
		"login": func(email string) call { return logIn(email, "not the password") },
	} {
		var first answer
		for i := range 8 { // until mails are too many, or the login is locked
			for _, email := range []string{ada, "nobody@example.com", "pending@example.com"} {
				got := a.do(question(email))
				got.body = requestIDs.ReplaceAll(got.body, nil)
				for _, header := range []string{"X-Request-Id", "Date", "Content-Length"} {
					got.Header.Del(header)
				}
				if got.Header.Get("Retry-After") != "" {
					got.Header.Set("Retry-After", "some seconds") // a second may pass between two answers
				}
				if email == ada {
					first = got
					continue
				}
				if got.StatusCode != first.StatusCode || !bytes.Equal(got.body, first.body) || fmt.Sprint(got.Header) != fmt.Sprint(first.Header) {
					// A lock runs out in between; another look decides.
					if name == "login" && (got.StatusCode == 429) != (first.StatusCode == 429) {
						continue
					}
					t.Errorf("%s, %d: %s is told\n%s %v %s\nand %s\n%s %v %s", name, i, ada, first.Status, first.Header, first.body, email, got.Status, got.Header, got.body)
				}
			}
		}
	}
}
