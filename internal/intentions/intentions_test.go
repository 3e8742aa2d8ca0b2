package intentions_test

import (
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"souk/internal/intentions"
	"souk/internal/testenv"
)

func watch(t *testing.T, consul *consulapi.Client, service, file string) (*intentions.Callers, error) {
	t.Helper()
	return intentions.Watch(t.Context(), intentions.Options{Consul: consul, Service: service, StateFile: file,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

func TestOnlyNamedCallersMayCallAndAChangeCountsAtOnce(t *testing.T) {
	consul, err := testenv.Start(t).Consul()
	if err != nil {
		t.Fatal(err)
	}
	const service = "test-intentions"
	callers, err := watch(t, consul, service, "")
	if err != nil {
		t.Fatal(err)
	}
	if callers.Allows("gateway") {
		t.Error("a service without an entry of its own has callers")
	}
	entry := &consulapi.ServiceIntentionsConfigEntry{Kind: consulapi.ServiceIntentions, Name: service,
		Sources: []*consulapi.SourceIntention{{Name: "gateway", Action: consulapi.IntentionActionAllow}}}
	if _, _, err := consul.ConfigEntries().Set(entry, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := consul.ConfigEntries().Delete(consulapi.ServiceIntentions, service, nil); err != nil {
			t.Error(err)
		}
	})
	within(t, "gateway is allowed", func() bool { return callers.Allows("gateway") })
	for _, other := range []string{"orders", "", "*", "gateway2", "Gateway"} {
		if callers.Allows(other) {
			t.Errorf("%q may call", other)
		}
	}
	entry.Sources[0].Action = consulapi.IntentionActionDeny
	if _, _, err := consul.ConfigEntries().Set(entry, nil); err != nil {
		t.Fatal(err)
	}
	within(t, "gateway is denied again", func() bool { return !callers.Allows("gateway") })
}

// The catalogue's own token must see its intentions: this is how a service reads them.
func TestAWorkloadReadsItsOwnIntentionsAndKeepsThem(t *testing.T) {
	env := testenv.Start(t)
	w := env.Workload(t, "catalog")
	consul, err := consulapi.NewClient(&consulapi.Config{Address: env.ConsulAddr(), TokenFile: filepath.Join(w.Secrets, "consul_token")})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "intentions.json")
	callers, err := watch(t, consul, "catalog", file)
	if err != nil {
		t.Fatal(err)
	}
	if !callers.Allows("gateway") || !callers.Allows("orders") || callers.Allows("payments") {
		t.Error("the catalogue's callers are not those of consul-config/service-intentions/catalog.hcl")
	}
	nowhere, err := consulapi.NewClient(&consulapi.Config{Address: "127.0.0.1:9"})
	if err != nil {
		t.Fatal(err)
	}
	callers, err = watch(t, nowhere, "catalog", file)
	if err != nil {
		t.Fatalf("a start without Consul: %v", err)
	}
	if !callers.Allows("gateway") || callers.Allows("payments") {
		t.Error("the kept intentions do not hold")
	}
	if _, err := watch(t, nowhere, "catalog", filepath.Join(t.TempDir(), "none.json")); err == nil || !strings.Contains(err.Error(), "none are kept") {
		t.Errorf("a start without Consul and without a kept list: %v", err)
	}
}

func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
