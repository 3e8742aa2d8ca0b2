package oauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636, appendix B

// request is a good authorization request, changed by fields: name, value, ...; a value "-" leaves one out.
func (h *harness) request(fields ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"shop"}, "redirect_uri": {loopbackURI}, "state": {"a-state"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(fields); i += 2 {
		if q.Set(fields[i], fields[i+1]); fields[i+1] == "-" {
			q.Del(fields[i])
		}
	}
	return h.url + "/oauth2/authorize?" + q.Encode()
}

func (h *harness) noForeignRedirect(t *testing.T) {
	b := h.browser(t)
	for _, uri := range []string{
		"https://evil.example/cb", "https://shop.example.evil.example/cb", "https://shop.example/cb/", "https://shop.example/cb?", "https://shop.example/cb?next=1",
		"https://shop.example/cb#", "https://shop.example/cb#x", "https://shop.example/CB", "HTTPS://shop.example/cb", "https://SHOP.example/cb", "https://shop.example:443/cb",
		"https://evil@shop.example/cb", "https://shop.example@evil.example/cb", "https://shop.example/cb/../../evil", "https://shop.example/%63b", "https://shop.example/cb%00",
		"https://shop.example/cb\\@evil.example", "https://shop.example\u3002/cb", "https://sh\u043ep.example/cb", "http://shop.example/cb", "//shop.example/cb", "/cb", "javascript:alert(1)",
		"data:text/html,x", "com.example.shop:/cb/evil", "com.example.shop://evil/cb", "http://127.0.0.1@evil.example/callback", "http://127.0.0.1:80@evil.example/callback",
		"http://user@127.0.0.1:1234/callback", "http://127.0.0.1.evil.example:1234/callback", "http://127.0.0.1:99999/callback", "http://127.0.0.1:/callback", "http://127.0.0.1:12x/callback",
		"http://127.0.0.1:1234/callback#", "http://127.0.0.1:1234/callback?x", "http://127.0.0.1:1234/callback/", "http://127.0.0.1:1234/%63allback", "http://127.0.0.1:1234/x/../callback",
		"http://127.0.0.2:1234/callback", "http://localhost:1234/callback", "http://[::1]:1234/callback", "http://0x7f.1:1234/callback", "https://127.0.0.1:1234/callback", "http://127.0.0.1:1234",
	} {
		p := get(t, b, h.request("redirect_uri", uri))
		if p.to != nil || p.status != http.StatusBadRequest || strings.Contains(p.body, "<form") {
			t.Errorf("%s: %d %v", uri, p.status, p.to)
		}
	}
	for _, address := range []string{
		h.request("client_id", "nobody"), h.request("client_id", "-"), h.request("client_id", "robot"), h.request("client_id", FirstParty), h.request("redirect_uri", "-"),
		h.request() + "&redirect_uri=https%3A%2F%2Fevil.example", h.request() + "&client_id=third", h.request() + "&state=2", h.request() + "&%zz", h.request() + ";client_id=third",
		h.request("x", strings.Repeat("x", 4<<10)),
	} {
		if p := get(t, b, address); p.to != nil || p.status < 400 || p.status > 413 || strings.Contains(p.body, "<form") {
			t.Errorf("%.200s: %d %v", address, p.status, p.to)
		}
	}
	for _, uri := range []string{"http://127.0.0.1/callback", "http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "https://shop.example/cb", "com.example.shop:/cb"} {
		if p := get(t, b, h.request("redirect_uri", uri)); p.status != 200 || !strings.Contains(p.body, "<form") {
			t.Errorf("%s: %d %v", uri, p.status, p.to)
		}
	}
	if p := get(t, b, h.request("client_id", "third", "redirect_uri", "http://[::1]:7000/cb")); p.status != 200 {
		t.Errorf("an IPv6 loopback: %d", p.status)
	}
}

func (h *harness) faultsAreToldToTheClient(t *testing.T) {
	b := h.browser(t)
	for _, c := range []struct {
		want   string
		fields []string
	}{
		{"unsupported_response_type", []string{"response_type", "token"}},
		{"unsupported_response_type", []string{"response_type", "code token"}},
		{"unsupported_response_type", []string{"response_type", "id_token"}},
		{"unsupported_response_type", []string{"response_type", "none"}},
		{"unsupported_response_type", []string{"response_type", "-"}},
		{"unsupported_response_mode", []string{"response_mode", "fragment"}},
		{"unsupported_response_mode", []string{"response_mode", "form_post"}},
		{"unsupported_response_mode", []string{"response_mode", "query.jwt"}},
		{"invalid_request", []string{"code_challenge", "-"}},
		{"invalid_request", []string{"code_challenge", "-", "code_challenge_method", "-"}},
		{"invalid_request", []string{"code_challenge_method", "plain"}},
		{"invalid_request", []string{"code_challenge_method", "-"}},
		{"invalid_request", []string{"code_challenge_method", "s256"}},
		{"invalid_request", []string{"code_challenge", "short"}},
		{"invalid_request", []string{"code_challenge", challenge + "="}},
		{"invalid_scope", []string{"scope", "root"}},
		{"invalid_scope", []string{"client_id", "third", "scope", "account users:roles"}},
		{"invalid_scope", []string{"scope", "openid"}},
		{"request_not_supported", []string{"request", "x"}},
		{"request_uri_not_supported", []string{"request_uri", "urn:ietf:params:oauth:request_uri:x"}},
		{"invalid_request", []string{"audience", "elsewhere"}},
		{"login_required", []string{"prompt", "none"}},
	} {
		p := get(t, b, h.request(c.fields...))
		if p.status != http.StatusSeeOther || p.to == nil || !strings.HasPrefix(p.to.String(), loopbackURI+"?") {
			t.Errorf("%v: %d %v", c.fields, p.status, p.to)
			continue
		}
		if q := p.to.Query(); q.Get("error") != c.want || q.Get("state") != "a-state" || q.Get("iss") != h.url || q.Has("code") {
			t.Errorf("%v: %v", c.fields, q)
		}
	}
	for _, state := range []string{strings.Repeat("s", 2000), "line\nbreak", "\x00"} {
		p := get(t, b, h.request("state", state))
		if p.to != nil && (p.to.Query().Has("state") || p.to.Query().Get("error") != "invalid_request") || p.status == 200 {
			t.Errorf("state %.10q: %d %v", state, p.status, p.to)
		}
	}
	u := h.user(t)
	if p := h.login(t, h.browser(t), h.request("client_id", "third", "redirect_uri", "https://third.example/cb?x=1", "prompt", "login", "state", `"><script>`), u.Email); p.status != 200 || !strings.Contains(p.body, "Third &lt;b&gt;Party") || strings.Contains(p.body, "<script") {
		t.Errorf("consent: %d %s", p.status, p.body)
	}
	// No state is fine with PKCE.
	if p := h.login(t, h.browser(t), h.request("state", "-"), u.Email); p.to == nil || p.to.Query().Get("code") == "" || p.to.Query().Has("state") {
		t.Errorf("without a state: %d %v", p.status, p.to)
	}
	// Roles give none of what is asked for.
	if p := h.login(t, h.browser(t), h.request("scope", "users:roles"), u.Email); p.to == nil || p.to.Query().Get("error") != "invalid_scope" {
		t.Errorf("a scope of admins: %d %v", p.status, p.to)
	}
	if p := h.login(t, h.browser(t), h.request("client_id", "backend", "redirect_uri", "-"), u.Email); p.to == nil || p.to.Host != "backend.example" || p.to.Query().Get("code") == "" {
		t.Errorf("the only redirect URI left out: %d %v", p.status, p.to)
	}
}

func (h *harness) aCodeIsForItsClient(t *testing.T) {
	u := h.user(t)
	code, verifier := h.code(t, u)
	good := map[string]string{"grant_type": "authorization_code", "client_id": "shop", "code": code, "redirect_uri": loopbackURI, "code_verifier": verifier}
	for _, c := range []struct{ name, value, want string }{
		{"client_id", "third", "invalid_grant"},
		{"client_id", FirstParty, "unauthorized_client"},
		{"client_id", "", "invalid_request"},
		{"redirect_uri", "http://127.0.0.1:43211/callback", "invalid_grant"},
		{"redirect_uri", "", "invalid_grant"},
		{"code_verifier", "", "invalid_grant"},
		{"code_verifier", oauth2.GenerateVerifier(), "invalid_grant"},
		{"code_verifier", oauth2.S256ChallengeFromVerifier(verifier), "invalid_grant"},
		{"code", "", "invalid_request"},
		{"code", code + "x", "invalid_grant"},
		{"code", strings.ToUpper(code), "invalid_grant"},
		{"client_secret", "x", "invalid_client"},
	} {
		var fields []string
		for name, value := range good {
			if name != c.name {
				fields = append(fields, name, value)
			}
		}
		if c.value != "" {
			fields = append(fields, c.name, c.value)
		}
		if a := h.call(t, "/oauth2/token", fields...); a.status/100 != 4 || a.Error != c.want || a.Access != "" {
			t.Errorf("%s=%s: %+v", c.name, c.value, a)
		}
	}
	if a := h.redeem(t, code, verifier); a.status != 200 {
		t.Errorf("after all that: %+v", a)
	}
	code, verifier = h.code(t, u)
	exec(t, h.pool, "UPDATE authorization_codes SET expires_at = now() - interval '1 second' WHERE hash = $1", hashOf(code))
	if a := h.redeem(t, code, verifier); a.Error != "invalid_grant" {
		t.Errorf("an expired code: %+v", a)
	}
	// Logging out between the pages and the exchange ends the code.
	code, verifier = h.code(t, u)
	must(t, h.store.RevokeSessions(t.Context(), u.ID, [16]byte{}, "test"))
	if a := h.redeem(t, code, verifier); a.Error != "invalid_grant" {
		t.Errorf("a code of an ended login: %+v", a)
	}
}

func (h *harness) hostileTokenRequests(t *testing.T) {
	send := func(query, contentType, body string, headers ...string) answer {
		r, err := http.NewRequestWithContext(t.Context(), "POST", h.url+"/oauth2/token"+query, strings.NewReader(body))
		must(t, err)
		r.Header.Set("Content-Type", contentType)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		return h.send(t, r)
	}
	const form = "application/x-www-form-urlencoded"
	machine := "grant_type=client_credentials&client_id=robot&client_secret=" + robotSecret
	for _, c := range []struct {
		status                   int
		want                     string
		query, contentType, body string
		headers                  []string
	}{
		{400, "invalid_request", "", form, "", nil},
		{400, "invalid_request", "?" + machine, form, "", nil},
		{400, "invalid_request", "?x=1", form, machine, nil},
		{400, "invalid_request", "", "application/json", `{"grant_type":"client_credentials"}`, nil},
		{400, "invalid_request", "", "multipart/form-data; boundary=x", "--x--", nil},
		{400, "invalid_request", "", form, machine + "&client_id=robot", nil},
		{400, "invalid_request", "", form, machine + "&grant_type=client_credentials", nil},
		{400, "invalid_request", "", form, machine + "&scope=inventory:read&scope=catalog:write", nil},
		{400, "invalid_request", "", form, machine + "&x=%00", nil},
		{413, "invalid_request", "", form, machine + "&x=" + strings.Repeat("x", 17<<10), nil},
		{400, "invalid_scope", "", form, machine + "&scope=payments:write", nil},
		{400, "invalid_scope", "", form, machine + "&scope=CATALOG:WRITE", nil},
		{401, "invalid_client", "", form, "grant_type=client_credentials&client_id=robot&client_secret=wrong", nil},
		{401, "invalid_client", "", form, "grant_type=client_credentials&client_id=robot", nil},
		{401, "invalid_client", "", form, "grant_type=client_credentials&client_id=nobody&client_secret=x", nil},
		{401, "invalid_client", "", form, "grant_type=client_credentials", []string{"Authorization", "Basic cm9ib3Q6d3Jvbmc="}},
		{400, "invalid_request", "", form, machine, []string{"Authorization", "Basic cm9ib3Q6d3Jvbmc="}},
		{400, "invalid_request", "", form, "grant_type=client_credentials&client_id=shop", []string{"Authorization", "Basic cm9ib3Q6d3Jvbmc="}},
		{400, "invalid_request", "", form, "grant_type=client_credentials", []string{"Authorization", "Basic cm9ib3Q6eA==", "Authorization", "Basic cm9ib3Q6eQ=="}},
		{400, "unauthorized_client", "", form, "grant_type=client_credentials&client_id=shop", nil},
		{400, "unauthorized_client", "", form, strings.Replace(machine, "client_credentials", "refresh_token", 1) + "&refresh_token=srt_x", nil},
		{400, "unsupported_grant_type", "", form, strings.Replace(machine, "client_credentials", "password", 1) + "&username=a&password=b", nil},
		{400, "unsupported_grant_type", "", form, strings.Replace(machine, "client_credentials", "implicit", 1), nil},
		{400, "unsupported_grant_type", "", form, strings.Replace(machine, "client_credentials", "client_credentials refresh_token", 1), nil},
		{400, "unsupported_grant_type", "", form, strings.Replace(machine, "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer", 1), nil},
		{400, "invalid_request", "", form, machine + "&audience=elsewhere", nil},
		{401, "invalid_client", "", form, "grant_type=client_credentials&client_id=robot&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=eyJhbGciOiJub25lIn0.e30.", nil},
	} {
		a := send(c.query, c.contentType, c.body, c.headers...)
		// fosite sees no difference between a bad request and an audience or assertion that it can't use.
		tolerant := strings.Contains(c.body, "audience=") || strings.Contains(c.body, "assertion=")
		if a.Access != "" || a.status/100 != 4 || !tolerant && (a.status != c.status || a.Error != c.want) || a.Error == "" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s %.80s: %d %s %s", c.query, c.contentType, c.body, a.status, a.Error, a.About)
		}
		if a.status == 401 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%.80s: 401 without a challenge", c.body)
		}
	}
	if a := send("", form+"; charset=UTF-8", machine+"&unknown=1&scope="); a.status != 200 { // unknown and empty ones are ignored (RFC 6749, section 3.2)
		t.Errorf("%+v", a)
	}
	if n := h.count(t, "SELECT count(*) FROM outbox WHERE convert_from(value, 'UTF8') LIKE '%robot%'"); n != 0 {
		t.Errorf("%d events", n)
	}
}
