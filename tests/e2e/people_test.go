package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// operator gives tokens of the OAuth client that `souk` itself uses: what it may is said in
// consul-config/kv/dev/users.yaml. What Vault kept is gone after a destroy, so it is made again then.
var operator oauth2.TokenSource

func operatorTokens(ctx context.Context) (oauth2.TokenSource, error) {
	secret, err := clientSecret(ctx, "souk-operator")
	if err != nil {
		return nil, err
	}
	grant := clientcredentials.Config{
		ClientID: "souk-operator", ClientSecret: secret, TokenURL: env.GatewayURL() + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader,
	}
	return grant.TokenSource(ctx), nil
}

func clientSecret(ctx context.Context, id string) (string, error) {
	vault, err := env.Vault()
	if err != nil {
		return "", err
	}
	secret, err := vault.KVv2("secret").Get(ctx, "souk/users")
	if err != nil {
		return "", err
	}
	value, ok := secret.Data["client_secret_"+id].(string)
	if !ok {
		return "", fmt.Errorf("Vault has no secret of the client %s", id)
	}
	value, _, _ = strings.Cut(value, "\n")
	return value, nil
}

// tokensOf are what a login gives.
type tokensOf struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Session string `json:"session_id"`
	Scope   string `json:"scope"`
}

// customer is somebody who has registered and followed the link in the e-mail.
type customer struct {
	id, email, password string
}

// newCustomer registers through the gateway and reads the e-mail that notifications wrote.
func newCustomer(t *testing.T) customer {
	t.Helper()
	c := customer{email: fmt.Sprintf("e2e-%s@example.com", strings.ToLower(rand.Text()[:12])), password: rand.Text()}
	c.must(t, http.StatusAccepted, "POST", "/v1/users", "", map[string]any{"email": c.email, "password": c.password, "name": "Erin Example"}, nil)
	c.must(t, http.StatusNoContent, "POST", "/v1/email-verifications", "", map[string]any{"token": linkIn(t, c.email, "verify")}, nil)
	var me struct {
		ID string `json:"id"`
	}
	c.must(t, http.StatusOK, "GET", "/v1/users/me", c.logIn(t).Access, nil, &me)
	c.id = me.ID
	return c
}

func (c customer) logIn(t *testing.T) (tokens tokensOf) {
	t.Helper()
	c.must(t, http.StatusCreated, "POST", "/v1/sessions", "", map[string]any{"email": c.email, "password": c.password}, &tokens)
	return tokens
}

// must makes a request with an access token, or none, and wants the status.
func (c customer) must(t *testing.T, want int, method, path, token string, body, into any) {
	t.Helper()
	status, answer, err := fetch(http.DefaultClient, method, path, map[string]string{"Authorization": bearer(token)}, body)
	if err != nil || status != want {
		t.Fatalf("%s %s: %d %s %v, want %d", method, path, status, answer, err, want)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
}

// bearer is an Authorization header, or "", with which fetch sends none.
func bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}

// example is an access token of one of the example users: customer, support, merchandiser, admin.
func example(t *testing.T, role string) string {
	t.Helper()
	password, err := env.Secret("example-" + role + ".password")
	if err != nil {
		t.Fatal(err)
	}
	return customer{email: role + "@example.com", password: password}.logIn(t).Access
}

var linkToken = regexp.MustCompile(`/account/(\w+)\?token=([A-Za-z0-9_-]+)`)

// linkIn waits for an e-mail with a link of a kind and returns the token in it.
func linkIn(t *testing.T, email, kind string) (token string) {
	t.Helper()
	eventually(t, 30*time.Second, "the e-mail with the link", func(context.Context) error {
		for _, text := range mailsTo(t, email) {
			if link := linkToken.FindStringSubmatch(text); link != nil && link[1] == kind {
				token = link[2]
				return nil
			}
		}
		return fmt.Errorf("no e-mail to %s has a link to /account/%s", email, kind)
	})
	return token
}

// mailsTo are the texts of the e-mails to an address, by file.
func mailsTo(t *testing.T, email string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(env.Path("mail", "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(raw), email) {
			continue
		}
		m, err := gomail.EMLToMsgFromString(string(raw))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, part := range m.GetParts() {
			if part.GetContentType() == gomail.TypeTextPlain {
				content, err := part.GetContent()
				if err != nil {
					t.Fatal(err)
				}
				texts[file] = string(content)
			}
		}
	}
	return texts
}
