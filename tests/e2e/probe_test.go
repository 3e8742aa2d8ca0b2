package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"context"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
)

// TestProbeWalksTheChainOfIdentities runs the probe as a Nomad job: workload
// identity, Vault token, PostgreSQL credentials that expire, certificate, Consul
// registration and configuration; and no secret where none belongs.
func TestProbeWalksTheChainOfIdentities(t *testing.T) {
	consul, err := env.Consul()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := consul.KV().Put(&consulapi.KVPair{Key: "souk/dev/probe", Value: []byte("greeting: hello")}, nil); err != nil {
		t.Fatal(err)
	}
	nomad, err := env.Nomad()
	if err != nil {
		t.Fatal(err)
	}
	if out := shell(t, "nomad job run -detach nomad/probe/probe.nomad.hcl"); !strings.Contains(out, "egistration successful") {
		t.Fatalf("nomad job run: %s", out)
	}
	t.Cleanup(func() {
		_, _, err := nomad.Jobs().Deregister("probe", true, &nomadapi.WriteOptions{Namespace: "souk"})
		if err != nil {
			t.Error(err)
		}
	})

	var alloc *nomadapi.Allocation
	q := &nomadapi.QueryOptions{Namespace: "souk"}
	eventually(t, time.Minute, "the probe starts", func(context.Context) error {
		stubs, _, err := nomad.Jobs().Allocations("probe", false, q)
		if err != nil || len(stubs) == 0 {
			return fmt.Errorf("no allocation: %v", err)
		}
		alloc, _, err = nomad.Allocations().Info(stubs[0].ID, q)
		if err == nil && alloc.ClientStatus == nomadapi.AllocClientStatusPending {
			err = fmt.Errorf("still pending")
		}
		return err
	})
	// While it waits for its credentials to expire, its secrets are alive.
	eventually(t, 30*time.Second, "the task has its secrets", func(context.Context) error {
		_, err := os.Stat(filepath.Join(taskDir(alloc.ID), "secrets", "consul_token"))
		return err
	})
	time.Sleep(2 * time.Second) // by now it has logged in everywhere
	checkSecretsStayInTheirPlace(t, nomad, alloc.ID)

	eventually(t, 3*time.Minute, "the probe ends", func(context.Context) error {
		a, _, err := nomad.Allocations().Info(alloc.ID, q)
		if err == nil && a.ClientStatus != nomadapi.AllocClientStatusComplete && a.ClientStatus != nomadapi.AllocClientStatusFailed {
			err = fmt.Errorf("it is %s", a.ClientStatus)
		}
		return err
	})
	stdout, stderr := taskLog(t, alloc.ID, "stdout"), taskLog(t, alloc.ID, "stderr")
	steps := map[string]map[string]any{}
	for scanner := bufio.NewScanner(strings.NewReader(stdout)); scanner.Scan(); {
		var line struct {
			Step   string
			OK     bool
			Detail map[string]any
		}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatalf("%q: %v", scanner.Text(), err)
		}
		if line.OK {
			steps[line.Step] = line.Detail
		}
	}
	for _, step := range []string{"vault-token", "vault-denies-others", "consul-registration", "consul-kv", "consul-denies-others",
		"certificate", "postgres-credentials", "postgres-expiry"} {
		if steps[step] == nil {
			t.Errorf("step %s did not succeed; stderr: %s", step, stderr)
		}
	}
	t.Logf("the probe found:\n%s", stdout)
}

func taskDir(alloc string) string { return env.Path("data", "nomad-client", "alloc", alloc, "probe") }

func taskLog(t *testing.T, alloc, kind string) string {
	t.Helper()
	raw, err := os.ReadFile(env.Path("data", "nomad-client", "alloc", alloc, "alloc", "logs", "probe."+kind+".0"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

var looksSecret = regexp.MustCompile(`hvs\.[A-Za-z0-9_-]{20,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ|BEGIN [A-Z ]*PRIVATE KEY`)

// checkSecretsStayInTheirPlace looks for the content of the task's secrets
// directory, and for anything of a secret's shape, in the job and in the rest of
// the allocation.
func checkSecretsStayInTheirPlace(t *testing.T, nomad *nomadapi.Client, alloc string) {
	t.Helper()
	secretsDir := filepath.Join(taskDir(alloc), "secrets")
	var secrets [][]byte
	entries, err := os.ReadDir(secretsDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if raw, err := os.ReadFile(filepath.Join(secretsDir, e.Name())); err == nil && len(bytes.TrimSpace(raw)) > 20 {
			secrets = append(secrets, bytes.TrimSpace(raw))
		}
	}
	if len(secrets) < 2 {
		t.Fatalf("expected a JWT and a Consul token under %s, found %d files", secretsDir, len(secrets))
	}
	holdsSecret := func(where string, content []byte) {
		for _, s := range secrets {
			if bytes.Contains(content, s) {
				t.Errorf("%s holds a secret of the task", where)
			}
		}
		if looksSecret.Match(content) {
			t.Errorf("%s holds something that looks like a secret", where)
		}
	}
	job, _, err := nomad.Jobs().Info("probe", &nomadapi.QueryOptions{Namespace: "souk"})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	holdsSecret("the job", spec)
	err = filepath.WalkDir(filepath.Dir(taskDir(alloc)), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(path, secretsDir) {
			return err
		}
		raw, err := os.ReadFile(path)
		if err == nil {
			holdsSecret(path, raw)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	own, err := env.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range own {
		line, err := p.Cmdline()
		if err == nil {
			holdsSecret(fmt.Sprintf("the command line of process %d", p.Pid), []byte(line))
		}
	}
}
