package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// forClient stands before a shop and gives its one client a token.
func forClient(t *testing.T, shop http.HandlerFunc) *httptest.Server {
	t.Helper()
	t.Setenv("SOUK_CLIENT_ID", "tool")
	t.Setenv("SOUK_CLIENT_SECRET", "of the tool")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/oauth2/token" && id == "tool" && secret == url.QueryEscape("of the tool"): // RFC 6749, section 2.3.1
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"good","token_type":"Bearer","expires_in":600}`)
		case r.Header.Get("Authorization") != "Bearer good":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			shop(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestAnotherShopIsNotSeededWithoutAClient(t *testing.T) {
	cmd := seedCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs([]string{"--gateway", "http://127.0.0.1:1"})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "SOUK_CLIENT_ID") {
		t.Errorf("got %v", err)
	}
}

func TestSeedSaysInOneLineWhatTheShopHas(t *testing.T) {
	shop := forClient(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"id":"1","status":"active"}`)
			return
		}
		fmt.Fprint(w, `{"items":[]}`)
	})
	cmd := seedCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--gateway", shop.URL})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "seeded ") || strings.Count(got, "\n") != 1 {
		t.Errorf("printed %q, want one line of what was seeded", got)
	}
}

func TestSeedSaysWhyTheShopRefuses(t *testing.T) {
	shop := forClient(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"status":403,"code":"forbidden","detail":"this needs the scope catalog:write"}`)
	})
	cmd := seedCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs([]string{"--gateway", shop.URL})
	err := cmd.ExecuteContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), shop.URL) || !strings.Contains(err.Error(), "this needs the scope catalog:write") {
		t.Errorf("got %v, want the gateway's address and its reason", err)
	}
}
