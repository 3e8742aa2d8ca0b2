package tokens_test

import (
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gofiber/fiber/v2"

	"souk/internal/tokens"
	"souk/internal/tokens/tokenstest"
	"souk/internal/web"
)

// guarded is a server with one route for each kind of guard.
func guarded(t testing.TB, i *tokenstest.Issuer) *fiber.App {
	t.Helper()
	v := i.Verifier()
	app := web.New(web.Options{Service: "test", Log: slog.New(slog.DiscardHandler)}).App()
	who := func(c *fiber.Ctx) error { return c.SendString(tokens.Of(c).Key()) }
	app.Get("/any", v.Require(), who)
	app.Get("/one", v.Require("catalog:write"), who)
	app.Get("/either", v.Require("users:read", "users:roles"), who)
	app.Get("/recent", v.Require(), func(c *fiber.Ctx) error {
		if err := tokens.Recent(c, 5*time.Minute); err != nil {
			return err
		}
		return who(c)
	})
	app.Get("/optional", v.Optional("orders"), func(c *fiber.Ctx) error {
		if tokens.Of(c) == nil {
			return c.SendString("nobody")
		}
		return who(c)
	})
	app.Get("/open", func(c *fiber.Ctx) error {
		if tokens.Of(c) != nil {
			t.Error("somebody is known where nobody was asked")
		}
		return nil
	})
	return app
}

func TestWhatARefusalTellsTheClient(t *testing.T) {
	i := tokenstest.New(t)
	app := guarded(t, i)
	merchandiser := i.Claims("merchandiser")
	key := "user/" + merchandiser["sub"].(string)
	good := "Bearer " + i.Sign(merchandiser)
	old := i.Claims()
	old["auth_time"] = time.Now().Add(-6 * time.Minute).Unix()
	for _, c := range []struct {
		path          string
		authorization []string
		status        int
		code          string // or the body
		challenge     string
	}{
		{"/any", []string{good}, 200, key, ""},
		{"/any", []string{"bearer " + good[7:]}, 200, key, ""},
		{"/any", []string{"BEARER   " + good[7:]}, 200, key, ""},
		{"/any", []string{"Bearer " + i.Client("importer")}, 200, "client/importer", ""},
		{"/one", []string{good}, 200, key, ""},
		{"/either", []string{"Bearer " + i.User("support")}, 200, "", ""},
		{"/open", []string{good}, 200, "", ""},

		{"/any", nil, 401, "token-required", `Bearer realm="souk"`},
		{"/any", []string{""}, 401, "token-required", `Bearer realm="souk"`},
		{"/any", []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("a:b"))}, 401, "token-required", `Bearer realm="souk"`},
		{"/any", []string{good[7:]}, 401, "token-required", `Bearer realm="souk"`},
		{"/any", []string{"Bearer"}, 401, "invalid-token", `Bearer realm="souk", error="invalid_token", error_description="invalid-token"`},
		{"/any", []string{"Bearer "}, 401, "invalid-token", `Bearer realm="souk", error="invalid_token", error_description="invalid-token"`},
		{"/any", []string{"Bearer\t" + good[7:]}, 401, "token-required", `Bearer realm="souk"`},
		{"/any", []string{"Bearer:" + good[7:]}, 401, "token-required", `Bearer realm="souk"`},
		{"/any", []string{"DPoP " + good[7:]}, 401, "token-required", `Bearer realm="souk"`},
		{"/any", []string{good + ", " + good}, 401, "invalid-token", `Bearer realm="souk", error="invalid_token", error_description="invalid-token"`},
		{"/any", []string{good, good}, 400, "bad-authorization", `Bearer realm="souk", error="invalid_request"`},
		{"/any", []string{"Basic eDp5", good}, 400, "bad-authorization", `Bearer realm="souk", error="invalid_request"`},
		{"/any", []string{good, ""}, 400, "bad-authorization", `Bearer realm="souk", error="invalid_request"`},
		{"/any", []string{"Bearer " + i.Expired()}, 401, "token-expired", `Bearer realm="souk", error="invalid_token", error_description="token-expired"`},
		{"/any", []string{"Bearer " + strings.Repeat("a", 8000)}, 401, "invalid-token", `Bearer realm="souk", error="invalid_token", error_description="invalid-token"`},
		{"/one", []string{"Bearer " + i.User()}, 403, "insufficient-scope", `Bearer realm="souk", error="insufficient_scope", scope="catalog:write"`},
		{"/one", []string{"Bearer " + i.Scoped("catalog:writer", "catalog", "write", "CATALOG:WRITE")}, 403, "insufficient-scope", `Bearer realm="souk", error="insufficient_scope", scope="catalog:write"`},
		{"/either", []string{good}, 403, "insufficient-scope", `Bearer realm="souk", error="insufficient_scope", scope="users:read users:roles"`},
		{"/any?access_token=" + good[7:], nil, 401, "token-required", `Bearer realm="souk"`},
		{"/optional", nil, 200, "nobody", ""},
		{"/optional", []string{""}, 200, "nobody", ""},
		{"/optional", []string{good}, 200, key, ""},
		{"/optional", []string{good, good}, 400, "bad-authorization", `Bearer realm="souk", error="invalid_request"`},
		{"/optional", []string{"", ""}, 400, "bad-authorization", `Bearer realm="souk", error="invalid_request"`},
		{"/optional", []string{"Basic eDp5"}, 401, "token-required", `Bearer realm="souk"`},
		{"/optional", []string{"Bearer "}, 401, "invalid-token", `Bearer realm="souk", error="invalid_token", error_description="invalid-token"`},
		{"/optional", []string{"Bearer " + i.Expired()}, 401, "token-expired", `Bearer realm="souk", error="invalid_token", error_description="token-expired"`},
		{"/optional", []string{"Bearer " + i.Scoped("account")}, 403, "insufficient-scope", `Bearer realm="souk", error="insufficient_scope", scope="orders"`},
		{"/recent", []string{good}, 200, key, ""},
		{"/recent", []string{"Bearer " + i.Sign(old)}, 401, "insufficient-user-authentication", `Bearer realm="souk", error="insufficient_user_authentication", max_age=300`},
		{"/recent", []string{"Bearer " + i.Client("importer")}, 401, "insufficient-user-authentication", `Bearer realm="souk", error="insufficient_user_authentication", max_age=300`},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil)
		req.Header["Authorization"] = c.authorization
		res, err := app.Test(req, -1)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		label := c.path + " " + strings.Join(c.authorization, " + ")
		label = label[:min(80, len(label))]
		if res.StatusCode != c.status || res.Header.Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: %d %q, want %d %q", label, res.StatusCode, res.Header.Get("WWW-Authenticate"), c.status, c.challenge)
		}
		if c.status == 200 {
			if c.code != "" && string(body) != c.code {
				t.Errorf("%s: %s", label, body)
			}
			continue
		}
		var p web.Problem
		if err := json.Unmarshal(body, &p); err != nil || p.Code != c.code || p.Status != c.status || res.Header.Get("Content-Type") != web.ProblemType {
			t.Errorf("%s: %s, want %s", label, body, c.code)
		}
		if len(good) > 20 && strings.Contains(string(body), good[len(good)-20:]) {
			t.Errorf("%s: the answer shows the token", label)
		}
	}
}

func TestWithoutKeysTheAnswerIsToTryAgain(t *testing.T) {
	i := tokenstest.New(t)
	i.Away(errAway)
	app := guarded(t, i)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/any", nil)
	req.Header.Set("Authorization", "Bearer "+i.User())
	res, err := app.Test(req, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}
