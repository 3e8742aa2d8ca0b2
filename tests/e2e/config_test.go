package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// documents copies consul-config/kv/dev and changes one document.
func documents(t *testing.T, service, document string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(env.Root, "consul-config", "kv", "dev", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == service+".yaml" {
			raw = []byte(document)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAPushedConfigurationReachesEveryInstance(t *testing.T) {
	scaleCatalog(t, 2)
	defer scaleCatalog(t, 1)
	defer func() {
		if _, err := env.Souk(t.Context(), "config", "push"); err != nil {
			t.Error(err)
		}
	}()
	out, err := env.Souk(t.Context(), "config", "push", "-m", "louder", "--dir", documents(t, "catalog", "log_level: debug\n"))
	if err != nil {
		t.Fatal(err)
	}
	// The command's own limit is 5 s; what it took is in the log of the test.
	if took := regexp.MustCompile(`catalog: 2 of 2 instances took it \((\S+)\)`).FindStringSubmatch(out); took == nil {
		t.Errorf("not seen by both instances: %s", out)
	}
	for _, e := range jobInstances(t, "catalog") {
		if config := admin(t, adminAddr(e), "/config"); !strings.Contains(strings.ToLower(config), "debug") {
			t.Errorf("an instance shows %s", config)
		}
	}

	for document, want := range map[string]string{
		"log_levle: debug\n":                "there is no setting log_levle",
		"log_level: debug\nlog_level: info": "set twice",
		"log_level: [":                      "catalog.yaml",
	} {
		out, err := env.Souk(t.Context(), "config", "push", "--dir", documents(t, "catalog", document))
		if err == nil || !strings.Contains(out, want) || !strings.Contains(out, "nothing was written") {
			t.Errorf("%q: %v %s", document, err, out)
		}
	}
	out, err = env.Souk(t.Context(), "config", "history")
	if err != nil || !strings.Contains(out, "louder") || !strings.Contains(out, "souk up") {
		t.Errorf("history: %v %s", err, out)
	}
	out, err = env.Souk(t.Context(), "config", "rollback", "1")
	if err != nil || !strings.Contains(out, "2 of 2 instances took it") {
		t.Errorf("rollback: %v %s", err, out)
	}
	if out, err = env.Souk(t.Context(), "config", "plan"); err != nil || !strings.Contains(out, "nothing to change") {
		t.Errorf("plan after the rollback: %v %s", err, out)
	}
	if out, err = env.Souk(t.Context(), "config", "plan", "--env", "nowhere"); err == nil || !strings.Contains(out, "there is no environment") {
		t.Errorf("an unknown environment: %v %s", err, out)
	}
}

// What is written past `souk config` is checked once more, by the service itself.
func TestAnInvalidConfigurationInConsulLeavesTheLastGoodOne(t *testing.T) {
	consul, err := env.Consul()
	if err != nil {
		t.Fatal(err)
	}
	pair, _, err := consul.KV().Get("souk/dev/gateway", nil)
	if err != nil || pair == nil {
		t.Fatalf("the gateway's configuration: %v", err)
	}
	t.Cleanup(func() {
		if _, err := consul.KV().Put(pair, nil); err != nil {
			t.Error(err)
		}
	})
	products := seeded(t)
	l := startLoad(t, products)
	for _, bad := range []string{"routes: 7", "{", "routes: [{path: nonsense, service: catalog}]", ""} {
		broken := *pair
		broken.Value = []byte(bad)
		if _, err := consul.KV().Put(&broken, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := consul.KV().Delete(pair.Key, nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	l.end(t, 0)
	for _, e := range jobInstances(t, "gateway") {
		if refused := metric(t, adminAddr(e), "souk_config_refused_total"); refused < 1 {
			t.Errorf("refused configurations are not counted")
		}
	}
}
