package discovery_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"souk/internal/discovery"
	"souk/internal/testenv"
)

func TestResolveGivesThePassingAddresses(t *testing.T) {
	client, service := consul(t), serviceName()
	if _, err := discovery.Resolve(t.Context(), client, service, discovery.Options{}); !errors.Is(err, discovery.ErrNoInstance) {
		t.Fatalf("with none: %v", err)
	}
	register(t, client, service, "127.0.0.1:1002")
	register(t, client, service, "127.0.0.1:1001")
	sick, _ := register(t, client, service, "127.0.0.1:1003")
	if err := client.Agent().UpdateTTL("alive:"+sick, "", consulapi.HealthCritical); err != nil {
		t.Fatal(err)
	}
	var got []string
	eventually(t, "two addresses", func() bool {
		var err error
		got, err = discovery.Resolve(t.Context(), client, service, discovery.Options{})
		return err == nil && slices.Equal(got, []string{"127.0.0.1:1001", "127.0.0.1:1002"})
	})
}

func TestResolveWaitsAsLongAsItIsTold(t *testing.T) {
	client, service := consul(t), serviceName()
	var registering sync.WaitGroup
	defer registering.Wait()
	registering.Go(func() {
		time.Sleep(500 * time.Millisecond)
		if _, err := discovery.Register(t.Context(), client, discovery.Registration{Service: service, Address: "127.0.0.1:1001"}, discovery.Options{}); err != nil {
			t.Error(err)
		}
	})
	got, err := discovery.Resolve(t.Context(), client, service, discovery.Options{Patience: 10 * time.Second})
	if err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := discovery.Resolve(ctx, client, serviceName(), discovery.Options{Patience: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an ended context: %v", err)
	}
}

func TestResolveFallsBackOnTheKeptList(t *testing.T) {
	client, service, dir := consul(t), serviceName(), t.TempDir()
	register(t, client, service, "127.0.0.1:1001")
	p := through(t)
	if _, err := discovery.Resolve(t.Context(), p.client, service, discovery.Options{StateDir: dir, Patience: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	p.cut()
	got, err := discovery.Resolve(t.Context(), p.client, service, discovery.Options{StateDir: dir})
	if err != nil || !slices.Equal(got, []string{"127.0.0.1:1001"}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := discovery.Resolve(t.Context(), p.client, service, discovery.Options{}); err == nil {
		t.Errorf("with nothing kept and no Consul: %v", got)
	}
}

func TestAnAgentThatForgotAnInstanceGetsItAgain(t *testing.T) {
	client, service := consul(t), serviceName()
	id := service + "-x"
	stop, err := discovery.Register(t.Context(), client, discovery.Registration{Service: service, ID: id, Address: "127.0.0.1:1001", TTL: 3 * time.Second}, discovery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop(context.Background()) })
	if err := client.Agent().ServiceDeregister(id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is back", func() bool {
		list, _, err := client.Health().Service(service, "", true, nil)
		return err == nil && len(list) == 1
	})
}

func TestAnInstanceLeavesWithItsContext(t *testing.T) {
	client, service := consul(t), serviceName()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := discovery.Register(ctx, client, discovery.Registration{Service: service, Address: "127.0.0.1:1001"}, discovery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, "it is gone", func() bool {
		list, _, err := client.Catalog().Service(service, "", nil)
		return err == nil && len(list) == 0
	})
}

func TestBadRegistrationsAreRefused(t *testing.T) {
	client := consul(t)
	for _, r := range []discovery.Registration{
		{Service: "A b", Address: "127.0.0.1:1"},
		{Service: serviceName(), Address: "127.0.0.1"},
		{Service: serviceName(), Address: "127.0.0.1:http"},
	} {
		if _, err := discovery.Register(t.Context(), client, r, discovery.Options{}); err == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
}

func TestTheTokenFileIsReadForEveryRequest(t *testing.T) {
	admin, dir := consul(t), t.TempDir()
	file := filepath.Join(dir, "consul_token")
	if err := os.WriteFile(file, []byte("00000000-0000-0000-0000-00000000dead\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONSUL_HTTP_ADDR", testenv.Start(t).ConsulAddr())
	t.Setenv("CONSUL_HTTP_TOKEN_FILE", "")
	t.Setenv("NOMAD_SECRETS_DIR", dir)
	client, err := discovery.Connect()
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = client.ACL().TokenReadSelf(nil)
	if refused := (consulapi.StatusError{}); !errors.As(err, &refused) || refused.Code != http.StatusForbidden {
		t.Fatalf("a dead token: %v", err)
	}
	if err := os.WriteFile(file, []byte(managementToken(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, _, err := client.ACL().TokenReadSelf(nil)
	if err != nil {
		t.Fatalf("the new token: %v", err)
	}
	want, _, err := admin.ACL().TokenReadSelf(nil)
	if err != nil || self.AccessorID != want.AccessorID {
		t.Errorf("got %v, want %v, %v", self.AccessorID, want, err)
	}
}
