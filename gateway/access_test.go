package main

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"souk/internal/tokens"
)

// guardedConfig has a route for each way to say who may use it.
func guardedConfig(service string) Config {
	return testConfig(service,
		Route{Path: "/v1/things", Methods: []string{"GET"}},
		Route{Path: "/v1/things", Methods: []string{"POST"}, Scopes: []string{"things:write", "admin"}},
		Route{Path: "/v1/things/{id}", Methods: []string{"GET", "DELETE"}, Authenticated: true},
	)
}

func TestARouteLetsInWhomItNames(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	var reached atomic.Int64
	startInstance(t, consul, service, http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) { reached.Add(1) }))
	g := startGateway(t, consul, guardedConfig(service))
	g.knows(t, service, 1)
	i := g.issuer
	for _, c := range []struct {
		who, token        string
		read, write, item int
	}{
		{"anonymous", "", 200, 401, 401},
		{"customer", i.User(), 200, 403, 200},
		{"one scope", i.Scoped("things:write"), 200, 200, 200},
		{"the other", i.Scoped("other", "admin"), 200, 200, 200},
		{"nearly the scope", i.Scoped("things:write:more", "things"), 200, 403, 200},
		{"service", i.Client("robot", "things:write"), 200, 200, 200},
		{"expired", i.Expired(), 200, 401, 401},
		{"wrong audience", i.WrongAudience(), 200, 401, 401},
		{"nonsense", "x", 200, 401, 401},
		{"alg none", "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJhZG1pbiJ9.", 200, 401, 401},
	} {
		for path, want := range map[string]int{"GET /v1/things": c.read, "HEAD /v1/things": c.read, "POST /v1/things": c.write, "GET /v1/things/1": c.item, "HEAD /v1/things/1": c.item, "DELETE /v1/things/1": c.item} {
			method, path, _ := strings.Cut(path, " ")
			var headers []string
			if c.token != "" {
				headers = []string{"Authorization", "Bearer " + c.token}
			}
			before := reached.Load()
			a := call(t, method, g.url+path, "", headers...)
			if a.StatusCode != want || reached.Load()-before != int64(map[bool]int{true: 1}[want == 200]) {
				t.Errorf("%s %s by %s: %s, want %d; the service had %d", method, path, c.who, a.Status, want, reached.Load()-before)
			}
			if want != 200 && method != "HEAD" && (a.problem(t).Code == "" || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), `Bearer realm="souk"`)) {
				t.Errorf("%s %s by %s: %v %s", method, path, c.who, a.Header, a.text)
			}
		}
	}
}

func TestTwoAuthorizationHeadersAreRefusedWhereOneCounts(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, guardedConfig(service))
	g.knows(t, service, 1)
	good := "Bearer " + g.issuer.User()
	a := call(t, "GET", g.url+"/v1/things/1", "", "Authorization", good, "Authorization", "Bearer other")
	if a.StatusCode != 400 || a.problem(t).Code != "bad-authorization" {
		t.Errorf("%s %s", a.Status, a.text)
	}
	e := call(t, "GET", g.url+"/v1/things/1", "", "Authorization", good).echoed(t)
	if got := e.Header["Authorization"]; len(got) != 1 || got[0] != good {
		t.Errorf("the service, which checks again, gets %q", got)
	}
}

func TestALogoutIsHeededAtTheGatewayToo(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, echo("one"))
	g := startGateway(t, consul, guardedConfig(service))
	g.knows(t, service, 1)
	claims := g.issuer.Claims()
	token := "Bearer " + g.issuer.Sign(claims)
	if a := call(t, "GET", g.url+"/v1/things/1", "", "Authorization", token); a.StatusCode != 200 {
		t.Fatal(a.Status)
	}
	g.issuer.Revoke(tokens.Revocation{Kind: tokens.KindSession, ID: claims["sid"].(string)})
	eventually(t, "the token is refused", func() bool {
		a := call(t, "GET", g.url+"/v1/things/1", "", "Authorization", token)
		return a.StatusCode == 401 && a.problem(t).Code == "token-revoked"
	})
}

// Whoever logs in with a browser does it through here.
func TestAPublicRoutePassesFormsCookiesAndRedirectsAsTheyAre(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/oauth2/login":
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Body", string(body))
			w.Header().Set("X-Type", r.Header.Get("Content-Type"))
			w.Header().Set("X-Cookie", strings.Join(r.Header["Cookie"], "|"))
			w.Header().Set("X-Origin", r.Header.Get("Origin")+" "+r.Header.Get("Sec-Fetch-Site")+" "+r.Header.Get("Referer"))
			w.Header().Add("Set-Cookie", "__Host-session=abc; Path=/; Secure; HttpOnly; SameSite=Lax")
			w.Header().Add("Set-Cookie", "csrf=d\"e=f; Path=/oauth2; Max-Age=600")
			w.Header().Set("Location", "/oauth2/authorize?client_id=a&state=%2Fx%26y")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self'")
			w.Header().Set("Referrer-Policy", "no-referrer")
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Pragma", "no-cache")
			w.WriteHeader(http.StatusSeeOther)
		case "/oauth2/authorize":
			w.Header().Set("Location", "https://client.example/cb?code=sac_x&state=a%20b#frag")
			w.WriteHeader(http.StatusFound)
		case "/oauth2/token":
			user, password, _ := r.BasicAuth()
			w.Header().Set("WWW-Authenticate", `Basic realm="oauth2"`)
			w.Header().Set("Retry-After", "7")
			w.Header().Set("Content-Type", "application/json;charset=UTF-8")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"invalid_client","was":"`+user+":"+password+`"}`)
		}
	}))
	cfg := testConfig(service,
		Route{Path: "/oauth2/login", Methods: []string{"GET", "POST"}},
		Route{Path: "/oauth2/authorize", Methods: []string{"GET"}},
		Route{Path: "/oauth2/token", Methods: []string{"POST"}},
	)
	cfg.CORS.Origins = []string{"https://app.example"}
	g := startGateway(t, consul, cfg)
	g.knows(t, service, 1)

	form := url.Values{"email": {"a+b@shop.example"}, "password": {"p&ss=wörd %"}, "csrf": {"x"}}.Encode()
	const cookies = `a=1; __Host-session=abc; odd="q uoted"; empty=; =nameless; flag`
	a := call(t, "POST", g.url+"/oauth2/login?return=%2Foauth2%2Fauthorize", form, "Content-Type", "application/x-www-form-urlencoded",
		"Cookie", cookies, "Origin", "null", "Sec-Fetch-Site", "same-origin", "Referer", g.url+"/oauth2/login")
	h := a.Header
	if a.StatusCode != 303 || h.Get("X-Body") != form || h.Get("X-Type") != "application/x-www-form-urlencoded" || h.Get("X-Origin") != "null same-origin "+g.url+"/oauth2/login" {
		t.Errorf("form: %s %v", a.Status, h)
	}
	if h.Get("X-Cookie") != cookies {
		t.Errorf("cookies arrive as %q, want %q", h.Get("X-Cookie"), cookies)
	}
	if want := []string{"__Host-session=abc; Path=/; Secure; HttpOnly; SameSite=Lax", "csrf=d\"e=f; Path=/oauth2; Max-Age=600"}; !slices.Equal(h["Set-Cookie"], want) {
		t.Errorf("Set-Cookie: %q", h["Set-Cookie"])
	}
	if h.Get("Location") != "/oauth2/authorize?client_id=a&state=%2Fx%26y" || h.Get("Content-Security-Policy") != "default-src 'none'; form-action 'self'" ||
		h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" {
		t.Errorf("header: %v", h)
	}
	a = call(t, "GET", g.url+"/oauth2/authorize", "")
	if a.StatusCode != 302 || a.Header.Get("Location") != "https://client.example/cb?code=sac_x&state=a%20b#frag" {
		t.Errorf("redirect: %s %v", a.Status, a.Header)
	}

	// A client of OAuth 2 may say who it is with Basic: that is not the gateway's to judge.
	a = call(t, "POST", g.url+"/oauth2/token", "grant_type=client_credentials", "Content-Type", "application/x-www-form-urlencoded",
		"Authorization", "Basic cm9ib3Q6c2VjcmV0", "Origin", "https://app.example")
	if a.StatusCode != 401 || !strings.Contains(a.text, "robot:secret") || a.Header.Get("WWW-Authenticate") != `Basic realm="oauth2"` || a.Header.Get("Retry-After") != "7" ||
		a.Header.Get("Content-Type") != "application/json;charset=UTF-8" {
		t.Errorf("token: %s %v %s", a.Status, a.Header, a.text)
	}
	exposed := a.Header.Get("Access-Control-Expose-Headers")
	for _, name := range []string{"WWW-Authenticate", "RateLimit", "Retry-After", "ETag", "Location"} {
		if !slices.Contains(strings.Split(exposed, ","), name) {
			t.Errorf("%s is not exposed: %s", name, exposed)
		}
	}
	if a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || a.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("CORS: %v", a.Header)
	}
	a = call(t, "OPTIONS", g.url+"/oauth2/token", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
	if a.StatusCode != 204 || !strings.Contains(strings.ToLower(a.Header.Get("Access-Control-Allow-Headers")), "authorization") {
		t.Errorf("preflight: %s %v", a.Status, a.Header)
	}
}

func TestARefusalIsReadableForABrowsersPage(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	cfg := guardedConfig(service)
	cfg.CORS.Origins = []string{"https://app.example"}
	g := startGateway(t, consul, cfg)
	a := call(t, "GET", g.url+"/v1/things/1", "", "Origin", "https://app.example")
	if a.StatusCode != 401 || a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || !strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
		t.Errorf("%s %v", a.Status, a.Header)
	}
	// Who may preflight is not asked for a token: the browser has none to send.
	a = call(t, "OPTIONS", g.url+"/v1/things/1", "", "Origin", "https://app.example", "Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "authorization")
	if a.StatusCode != 204 {
		t.Errorf("preflight: %s", a.Status)
	}
}

func TestServicesInternalPathsCannotBeReached(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	var reached atomic.Int64
	startInstance(t, consul, service, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.Contains(strings.ToLower(r.RequestURI), "internal") {
			reached.Add(1)
			t.Errorf("%s arrived", r.RequestURI)
		}
	}))
	g := startGateway(t, consul, testConfig(service, Route{Path: "/v1/{a}/{b}", Methods: []string{"GET", "POST"}}, Route{Path: "/v1/things", Methods: []string{"GET"}}))
	g.knows(t, service, 1)
	for _, path := range []string{
		"/internal/revocations", "//internal/revocations", "/./internal/revocations", "/%69nternal/revocations", "/v1/../internal/revocations",
		"/v1/%2e%2e/internal/revocations", "/v1/..%2finternal/revocations", "/v1/things/../../internal/revocations", "/INTERNAL/revocations", "/internal", "/internal/",
		"/v1/things;/../../internal/x", "/v1\\..\\internal\\x", "/v1/%5c..%5cinternal/x",
	} {
		got := raw(t, g.addr, "GET "+path+" HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 404 ") && !strings.HasPrefix(got, "HTTP/1.1 400 ") && !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("%s: %.100s", path, got)
		}
	}
}
