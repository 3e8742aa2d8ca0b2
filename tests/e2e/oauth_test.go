package e2e

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/oauth2"

	"souk/stack"
)

// exampleApp is a public client in consul-config/kv/dev/users.yaml that asks the user for consent.
const (
	exampleApp  = "example-app"
	exampleBack = "http://127.0.0.1:9/callback" // loopback, any port (RFC 8252, section 7.3); nothing listens there
)

func TestGoOAuth2ClientCompletesEveryGrant(t *testing.T) {
	c := newCustomer(t)
	app := oauth2.Config{
		ClientID: exampleApp, RedirectURL: exampleBack, Scopes: []string{"account", "orders"},
		Endpoint: oauth2.Endpoint{AuthURL: env.GatewayURL() + "/oauth2/authorize", TokenURL: env.GatewayURL() + "/oauth2/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	verifier := oauth2.GenerateVerifier()
	back := c.consents(t, app.AuthCodeURL("the-state", oauth2.S256ChallengeOption(verifier)))
	if back.Get("state") != "the-state" || back.Get("iss") != env.GatewayURL() || back.Get("code") == "" {
		t.Fatalf("the redirect has %v, want code, state and iss (RFC 9207)", back)
	}
	if _, err := app.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(oauth2.GenerateVerifier())); err == nil {
		t.Error("the code was taken with another verifier")
	}
	back = c.consents(t, app.AuthCodeURL("the-state", oauth2.S256ChallengeOption(verifier)))
	token, err := app.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("code: %v", err)
	}
	c.must(t, http.StatusOK, "GET", whoami, token.AccessToken, nil, nil)

	// Expired for the library, so that it refreshes by itself.
	stale := *token
	stale.Expiry = time.Now().Add(-time.Minute)
	fresh, err := app.TokenSource(t.Context(), &stale).Token()
	if err != nil || fresh.AccessToken == token.AccessToken || fresh.RefreshToken == token.RefreshToken {
		t.Fatalf("refresh: %v", err)
	}
	c.must(t, http.StatusOK, "GET", whoami, fresh.AccessToken, nil, nil)

	if status, err := postForm(http.DefaultClient, "/oauth2/revoke", url.Values{"token": {fresh.RefreshToken}, "client_id": {exampleApp}}, nil); err != nil || status != http.StatusOK {
		t.Fatalf("revoke: %d %v", status, err)
	}
	stale.RefreshToken = fresh.RefreshToken
	refusal := (*oauth2.RetrieveError)(nil)
	if _, err := app.TokenSource(t.Context(), &stale).Token(); !errors.As(err, &refusal) || refusal.ErrorCode != "invalid_grant" {
		t.Errorf("refresh after revocation: %v, want invalid_grant", err)
	}
	eventually(t, 5*time.Second, "the access token is refused too", func(context.Context) error {
		if status, _ := withToken(t, fresh.AccessToken); status != http.StatusUnauthorized {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	if service, err := operator.Token(); err != nil || service.AccessToken == "" {
		t.Errorf("client credentials: %v", err)
	}
}

// A used refresh token that comes again is a stolen one: its whole family ends.
func TestAReusedRefreshTokenEndsTheSession(t *testing.T) {
	c := newCustomer(t)
	first := c.logIn(t)
	second, err := refreshed(http.DefaultClient, first.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	// The answer was lost: the client may ask again, for a moment.
	again, err := refreshed(http.DefaultClient, first.Refresh)
	if err != nil {
		t.Fatalf("asked again at once: %v", err)
	}
	third, err := refreshed(http.DefaultClient, again.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refreshed(http.DefaultClient, second.Refresh); err == nil {
		t.Error("the answer that was said to be lost was used too")
	}
	if _, err := refreshed(http.DefaultClient, third.Refresh); err == nil {
		t.Error("the family lives on after a reuse")
	}
	eventually(t, 5*time.Second, "its access tokens are refused", func(context.Context) error {
		if status, _ := withToken(t, third.Access); status != http.StatusUnauthorized {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
}

//go:embed testdata/oauth_client.py
var pythonClient []byte

// TestPythonOAuthClientCompletesEveryGrant uses Authlib, in a virtual environment that is kept with the servers.
func TestPythonOAuthClientCompletesEveryGrant(t *testing.T) {
	python := virtualEnvironment(t, "authlib==1.6.5", "requests==2.34.2")
	secret, err := clientSecret(t.Context(), "souk-operator")
	if err != nil {
		t.Fatal(err)
	}
	c := newCustomer(t)
	input, err := json.Marshal(map[string]string{
		"issuer": env.GatewayURL(), "client_id": exampleApp, "redirect_uri": exampleBack, "email": c.email, "password": c.password,
		"service_id": "souk-operator", "service_secret": secret,
	})
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "client.py")
	if err := os.WriteFile(script, pythonClient, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, script)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "AUTHLIB_INSECURE_TRANSPORT=1") // loopback has no TLS
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
}

// virtualEnvironment makes one with these packages, or uses that of an earlier run.
func virtualEnvironment(t *testing.T, packages ...string) (python string) {
	t.Helper()
	system, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3; the same is tested with golang.org/x/oauth2")
	}
	cache, err := stack.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "python-"+strings.NewReplacer("==", "-", ".", "_").Replace(strings.Join(packages, "-")))
	python = filepath.Join(dir, "bin", "python3")
	if exec.CommandContext(t.Context(), python, "-c", "import authlib, requests").Run() == nil {
		return python
	}
	if out, err := exec.CommandContext(t.Context(), system, "-m", "venv", "--clear", dir).CombinedOutput(); err != nil {
		t.Skipf("python3 can make no virtual environment (%v: %s); the same is tested with golang.org/x/oauth2", err, out)
	}
	install := exec.CommandContext(t.Context(), python, append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, packages...)...)
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("Authlib can't be installed (%v: %s); the same is tested with golang.org/x/oauth2", err, out)
	}
	return python
}

// consents walks through the login and consent pages as a browser without JavaScript does, and returns the query of
// the redirect to the client.
func (c customer) consents(t *testing.T, authorize string) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: 15 * time.Second, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), exampleBack) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	res, err := browser.Get(authorize)
	for step := 0; err == nil && res.StatusCode == http.StatusOK && step < 3; step++ {
		res, err = browser.Do(c.filledIn(t, res))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	at, err := res.Location()
	if err != nil || !strings.HasPrefix(at.String(), exampleBack) {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("no redirect to the client: %s %s", res.Status, body)
	}
	return at.Query()
}

// filledIn is the page's first form as the user sends it: with e-mail and password, and the button that agrees.
func (c customer) filledIn(t *testing.T, page *http.Response) *http.Request {
	t.Helper()
	defer page.Body.Close()
	document, err := html.Parse(page.Body)
	if err != nil {
		t.Fatal(err)
	}
	attribute := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	action, form, pressed := page.Request.URL, url.Values{}, false
	for n := range document.Descendants() {
		name := attribute(n, "name")
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "form":
			if action, err = page.Request.URL.Parse(attribute(n, "action")); err != nil {
				t.Fatal(err)
			}
		case n.Data == "input" && name == "email":
			form.Set(name, c.email)
		case n.Data == "input" && name == "password":
			form.Set(name, c.password)
		case n.Data == "input" && name != "":
			form.Set(name, attribute(n, "value"))
		case n.Data == "button" && name != "" && !pressed:
			form.Set(name, attribute(n, "value"))
			pressed = true
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, action.String(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", env.GatewayURL())
	return req
}

// postForm sends a form without any authentication of its own.
func postForm(client *http.Client, path string, form url.Values, into any) (status int, err error) {
	res, err := client.PostForm(env.GatewayURL()+path, form)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && into != nil && res.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, into)
	}
	return res.StatusCode, err
}
