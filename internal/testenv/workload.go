package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	nomadapi "github.com/hashicorp/nomad/api"
)

// Workload is a real Nomad task's identity, for tests of what a task does with it.
type Workload struct {
	AllocID string
	Secrets string   // its secrets directory: nomad_vault.jwt and consul_token
	Env     []string // what Nomad would tell the task about the instance and itself
}

// workloadJob only holds an identity; Nomad renews its files as long as it runs.
const workloadJob = `
job %q {
  namespace = "souk"
  type      = "service"
  datacenters = ["souk"]
  group "test" {
    task "test" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["7200"]
      }
      identity {
        name = "vault"
        aud  = ["vault.io"]
        file = true
        ttl  = "1h"
      }
      consul {}
      resources {
        cpu    = 10
        memory = 16
      }
    }
  }
}`

// Workload runs a job of the given id, which decides what Vault and Consul allow,
// until the test ends. Tests that want the same id wait for one another, also
// across test programs.
func (e *Env) Workload(t testing.TB, job string) Workload {
	t.Helper()
	lock := flock.New(e.Path("test-workload-" + job + ".lock"))
	if err := lock.Lock(); err != nil {
		t.Fatalf("wait for workload %s: %v", job, err)
	}
	t.Cleanup(func() { _ = lock.Unlock() })
	nomad, err := e.Nomad()
	if err != nil {
		t.Fatal(err)
	}
	spec, err := nomad.Jobs().ParseHCL(fmt.Sprintf(workloadJob, job), true)
	if err != nil {
		t.Fatalf("parse the job of workload %s: %v", job, err)
	}
	w := &nomadapi.WriteOptions{Namespace: "souk"}
	if _, _, err := nomad.Jobs().Register(spec, w); err != nil {
		t.Fatalf("run workload %s: %v", job, err)
	}
	t.Cleanup(func() {
		if _, _, err := nomad.Jobs().Deregister(job, true, w); err != nil {
			t.Errorf("stop workload %s: %v", job, err)
		}
	})
	alloc, err := runningAlloc(t.Context(), nomad, job)
	if err != nil {
		t.Fatalf("workload %s: %v", job, err)
	}
	secrets := e.Path("data", "nomad-client", "alloc", alloc, "test", "secrets")
	return Workload{AllocID: alloc, Secrets: secrets, Env: []string{
		"NOMAD_JOB_ID=" + job, "NOMAD_ALLOC_ID=" + alloc, "NOMAD_SECRETS_DIR=" + secrets,
		"NOMAD_ALLOC_DIR=" + t.TempDir(), "SOUK_ENV=dev",
		"VAULT_ADDR=" + e.VaultAddr(), "CONSUL_HTTP_ADDR=" + e.ConsulAddr(),
		"CONSUL_HTTP_TOKEN_FILE=" + filepath.Join(secrets, "consul_token"),
	}}
}

// runningAlloc waits for the job's allocation and the files of its identities.
func runningAlloc(ctx context.Context, nomad *nomadapi.Client, job string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	q := (&nomadapi.QueryOptions{Namespace: "souk"}).WithContext(ctx)
	for {
		stubs, _, err := nomad.Jobs().Allocations(job, false, q)
		for _, a := range stubs {
			if a.ClientStatus == nomadapi.AllocClientStatusRunning && a.DesiredStatus == nomadapi.AllocDesiredStatusRun {
				return a.ID, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no running allocation within a minute: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Setenv sets the workload's environment for the rest of the test.
func (w Workload) Setenv(t *testing.T) {
	t.Helper()
	for _, pair := range w.Env {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
}

// JWT reads the task's current identity for Vault.
func (w Workload) JWT() ([]byte, error) {
	return os.ReadFile(filepath.Join(w.Secrets, "nomad_vault.jwt"))
}
