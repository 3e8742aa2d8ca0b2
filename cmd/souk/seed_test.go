package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSeedSaysInOneLineWhatTheShopHas(t *testing.T) {
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"id":"1","status":"active"}`)
			return
		}
		fmt.Fprint(w, `{"items":[]}`)
	}))
	defer shop.Close()
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
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"status":403,"code":"forbidden","detail":"this needs the scope catalog:write"}`)
	}))
	defer shop.Close()
	cmd := seedCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs([]string{"--gateway", shop.URL})
	err := cmd.ExecuteContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), shop.URL) || !strings.Contains(err.Error(), "this needs the scope catalog:write") {
		t.Errorf("got %v, want the gateway's address and its reason", err)
	}
}
