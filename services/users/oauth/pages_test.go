package oauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"souk/services/users/app"
)

func (h *harness) consentIsAskedOnce(t *testing.T) {
	u, b := h.user(t), h.browser(t)
	third := func(scope string) string { return h.request("client_id", "third", "scope", scope) }
	p := h.login(t, b, third("orders"), u.Email)
	if p.status != 200 || !strings.Contains(p.body, "Don’t allow") || !strings.Contains(p.body, u.Email) || !strings.Contains(p.body, permission("orders")) || strings.Contains(p.body, permission("account")) {
		t.Fatalf("consent: %d %v %s", p.status, p.to, p.body)
	}
	if denied := h.submit(t, b, "/oauth2/consent", p.fill("decision", "deny")); denied.to == nil || denied.to.Query().Get("error") != "access_denied" ||
		denied.to.Query().Get("state") != "a-state" || denied.to.Query().Get("iss") != h.url {
		t.Errorf("denied: %d %v", denied.status, denied.to)
	}
	if q := get(t, b, third("orders")+"&prompt=none"); q.to == nil || q.to.Query().Get("error") != "consent_required" {
		t.Errorf("prompt=none: %d %v", q.status, q.to)
	}
	for range 2 { // the second time is a form that is sent again
		if allowed := h.submit(t, b, "/oauth2/consent", p.fill("decision", "allow")); allowed.to == nil || allowed.to.Query().Get("code") == "" {
			t.Errorf("allowed: %d %v", allowed.status, allowed.to)
		}
	}
	if again := get(t, b, third("orders")); again.to == nil || again.to.Query().Get("code") == "" {
		t.Errorf("the second time: %d %v", again.status, again.to)
	}
	if more := get(t, b, third("orders account")); more.status != 200 || !strings.Contains(more.body, permission("account")) {
		t.Errorf("more scopes: %d %v", more.status, more.to)
	}
	if other := h.login(t, h.browser(t), third("orders"), h.user(t).Email); other.status != 200 {
		t.Errorf("another user: %d %v", other.status, other.to)
	}
}

func (h *harness) formsOfOthersAreRefused(t *testing.T) {
	u, b := h.user(t), h.browser(t)
	p := get(t, b, h.request())
	good := p.fill("email", u.Email, "password", password)
	change := func(name, value string) url.Values {
		form := p.fill("email", u.Email, "password", password)
		form.Set(name, value)
		return form
	}
	for name, post := range map[string]func() page{
		"cross-site":          func() page { return h.submit(t, b, "/oauth2/login", good, "Sec-Fetch-Site", "cross-site") },
		"same-site":           func() page { return h.submit(t, b, "/oauth2/login", good, "Sec-Fetch-Site", "same-site") },
		"another origin":      func() page { return h.submit(t, b, "/oauth2/login", good, "Origin", "https://evil.example") },
		"no token":            func() page { return h.submit(t, b, "/oauth2/login", change("form", "")) },
		"another token":       func() page { return h.submit(t, b, "/oauth2/login", change("form", boundTo("sfm_x"))) },
		"no cookie":           func() page { return h.submit(t, h.browser(t), "/oauth2/login", good) },
		"as text":             func() page { return h.submit(t, b, "/oauth2/login", good, "Content-Type", "text/plain") },
		"too large":           func() page { return h.submit(t, b, "/oauth2/login", change("password", strings.Repeat("x", 17<<10))) },
		"another destination": func() page { return h.submit(t, b, "/oauth2/login", change("request", "https://evil.example/")) },
		"an evil redirect URI": func() page {
			return h.submit(t, b, "/oauth2/login", change("request", strings.ReplaceAll(good.Get("request"), "127.0.0.1", "evil.example")))
		},
		"a field twice": func() page {
			form := change("x", "y")
			form.Add("email", "another@mail.example")
			return h.submit(t, b, "/oauth2/login", form)
		},
	} {
		if r := post(); r.to != nil || r.status < 400 || r.status >= 500 || r.header.Get("Set-Cookie") != "" && strings.Contains(r.header.Get("Set-Cookie"), loginCookie) {
			t.Errorf("%s: %d %v", name, r.status, r.to)
		}
	}
	if r := h.submit(t, b, "/oauth2/login", good, "Origin", "null"); r.to == nil || r.to.Query().Get("code") == "" { // as Chromium sends it
		t.Errorf("its own form: %d %s", r.status, r.body)
	}
	for _, header := range []struct{ name, want string }{
		{"Cache-Control", "no-store"}, {"Referrer-Policy", "no-referrer"}, {"X-Content-Type-Options", "nosniff"},
		{"Content-Security-Policy", "default-src 'none'; style-src " + h.server.pages.styleHash + "; base-uri 'none'; frame-ancestors 'none'; form-action 'self' http://127.0.0.1:43210"},
	} {
		if got := p.header.Get(header.name); got != header.want {
			t.Errorf("%s: %s", header.name, got)
		}
	}
	if cookie := p.header.Get("Set-Cookie"); !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || !strings.Contains(cookie, "path=/") || strings.Contains(cookie, "secure") {
		t.Error(cookie)
	}
	if page := get(t, b, h.url+"/oauth2/login"); page.status != http.StatusNotFound || !strings.Contains(page.body, "role=\"alert\"") {
		t.Errorf("the login page without a request: %d", page.status)
	}
}

func TestCookiesOfAnHTTPSIssuerAreBoundToTheHost(t *testing.T) {
	s := &Server{secure: true}
	if name := s.cookie(loginCookie); name != "__Host-souk_login" {
		t.Error(name)
	}
}

func (h *harness) failedLogins(t *testing.T) {
	u, b := h.user(t), h.browser(t)
	p := get(t, b, h.request())
	try := func(email string) page {
		return h.submit(t, b, "/oauth2/login", p.fill("email", email, "password", "wrong"))
	}
	wrong := try(u.Email)
	if wrong.status != 401 || !strings.Contains(wrong.body, `value="`+u.Email+`"`) || !strings.Contains(wrong.body, `role="alert"`) || strings.Contains(wrong.body, "value=\"wrong\"") {
		t.Errorf("%d %s", wrong.status, wrong.body)
	}
	if unknown := try("nobody@mail.example"); strings.ReplaceAll(unknown.body, "nobody@mail.example", u.Email) != wrong.body || unknown.status != wrong.status {
		t.Errorf("an unknown e-mail is told apart: %d %s", unknown.status, unknown.body)
	}
	if odd := try(`"><script>alert(1)</script>`); strings.Contains(odd.body, "<script") || odd.status != 401 {
		t.Errorf("%d %s", odd.status, odd.body)
	}
	for range 5 {
		wrong = try(u.Email)
	}
	if wrong.status != 429 || wrong.header.Get("Retry-After") == "" || !strings.Contains(wrong.body, "Try again in") {
		t.Errorf("a locked account: %d %s", wrong.status, wrong.body)
	}
}

func (h *harness) loggingOutEndsTheBrowsersLogin(t *testing.T) {
	u, b := h.user(t), h.browser(t)
	p := h.login(t, b, h.request("code_challenge", challenge), u.Email)
	if p.to == nil {
		t.Fatalf("%d %s", p.status, p.body)
	}
	a := h.redeem(t, p.to.Query().Get("code"), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
	if a.status != 200 {
		t.Fatalf("%+v", a)
	}
	if again := get(t, b, h.request()); again.to == nil {
		t.Errorf("while logged in: %d", again.status)
	}
	must(t, app.NewSessions(h.store).Revoke(t.Context(), u.ID, h.session(t, a)))
	if after := get(t, b, h.request()); after.status != 200 || !strings.Contains(after.body, "current-password") {
		t.Errorf("after logging out: %d %v", after.status, after.to)
	}
	if err := app.NewSessions(h.store).Revoke(t.Context(), u.ID, uuid.New()); err == nil {
		t.Error("a session that is not there was revoked")
	}
}

func (h *harness) newLogins(t *testing.T) {
	u, b := h.user(t), h.browser(t)
	if p := h.login(t, b, h.request(), u.Email); p.to == nil {
		t.Fatalf("%d %s", p.status, p.body)
	}
	isLogin := func(p page) bool { return p.status == 200 && strings.Contains(p.body, "current-password") }
	if p := get(t, b, h.request("max_age", "300")); p.to == nil {
		t.Errorf("a login of now: %d", p.status)
	}
	exec(t, h.pool, "UPDATE browser_sessions SET auth_time = auth_time - interval '6 minutes' WHERE user_id = $1", u.ID)
	for _, fields := range [][]string{{"max_age", "300"}, {"max_age", "0"}, {"max_age", "-1"}, {"prompt", "login"}} {
		if p := get(t, b, h.request(fields...)); !isLogin(p) {
			t.Errorf("%v: %d %v", fields, p.status, p.to)
		}
	}
	if p := get(t, b, h.request("max_age", "300", "prompt", "none")); p.to == nil || p.to.Query().Get("error") != "login_required" {
		t.Errorf("%d %v", p.status, p.to)
	}
	if p := get(t, b, h.request("max_age", "600")); p.to == nil {
		t.Errorf("old enough: %d", p.status)
	}
	for _, fields := range [][]string{{"max_age", "300"}, {"prompt", "login"}, {"max_age", "0"}} {
		if p := h.login(t, b, h.request(append(fields, "code_challenge", challenge)...), u.Email); p.to == nil || p.to.Query().Get("code") == "" {
			t.Errorf("%v, after the login: %d %v", fields, p.status, p.to)
		}
		exec(t, h.pool, "UPDATE browser_sessions SET auth_time = auth_time - interval '6 minutes' WHERE user_id = $1", u.ID)
	}
}
