package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"souk/internal/config"
)

func TestTheDefaultsAreValid(t *testing.T) {
	if _, err := config.Parse(nil, Defaults()); err != nil {
		t.Error(err)
	}
}

func TestSettingsOutOfRangeAreNamedTogether(t *testing.T) {
	_, err := config.Parse([]byte(`
publish_delay: 1s
connections: 1
lockout: {first: 0s}
clients:
  - {id: App, name: App, public: true, grant_types: [authorization_code, password], redirect_uris: ["http://app.example/back"], scopes: [everything]}
`), Defaults())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, problem := range []string{"publish_delay is 1s", "connections is 1", "lockout.first is 0s", `client "App": id must be`, `no grant type "password"`, "redirect_uri", `no scope "everything"`} {
		if !strings.Contains(err.Error(), problem) {
			t.Errorf("%q is not among the problems:\n%v", problem, err)
		}
	}
}

// Production has no client that is for trying things out.
func TestTheExampleAppIsForDevelopmentOnly(t *testing.T) {
	for env, want := range map[string]bool{"dev": true, "prod": false} {
		raw, err := os.ReadFile(filepath.Join("..", "..", "consul-config", "kv", env, "users.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := config.Parse(raw, Defaults())
		if err != nil {
			t.Fatalf("%s: %v", env, err)
		}
		has := false
		for _, client := range c.Clients {
			has = has || client.ID == "example-app"
		}
		if has != want {
			t.Errorf("%s: the example app is there: %v", env, has)
		}
	}
}
