package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"souk/internal/hashistack"
)

func TestUpAgainChangesNothing(t *testing.T) {
	before, pids := allocations(t), agentPIDs()
	out := up(t)
	if lines := did(out); len(lines) > 0 {
		t.Errorf("a second up did: %q", lines)
	}
	if after := allocations(t); !maps.Equal(before, after) {
		t.Errorf("allocations changed from %v to %v", before, after)
	}
	if after := agentPIDs(); !maps.Equal(pids, after) {
		t.Errorf("agents changed from %v to %v", pids, after)
	}
}

func TestTwoUpsAtOnceShareTheWork(t *testing.T) {
	before := allocations(t)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if out, err := env.Souk(t.Context(), "up"); err != nil {
				t.Errorf("up: %v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	if after := allocations(t); !maps.Equal(before, after) {
		t.Errorf("allocations changed from %v to %v", before, after)
	}
}

func agentPIDs() map[string]int32 {
	pids := map[string]int32{}
	for _, name := range hashistack.Agents {
		pids[name] = env.PID(name)
	}
	return pids
}

// TestToolsAgreeWithStatus asks the official tools, with the environment that
// `souk env` prints, as an operator would.
func TestToolsAgreeWithStatus(t *testing.T) {
	out, err := env.Souk(t.Context(), "status", "--json")
	if err != nil {
		t.Fatalf("status: %v", err)
	}
	var rows []struct {
		Name, Kind, Health, Address, Version string
		Memory                               uint64 `json:"memory_bytes"`
	}
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatalf("status --json: %v", err)
	}
	var memory uint64
	names := map[string]bool{}
	for _, r := range rows {
		if r.Health != "healthy" || r.Address == "" || r.Version == "" || r.Memory == 0 {
			t.Errorf("incomplete: %+v", r)
		}
		names[r.Name], memory = true, memory+r.Memory
	}
	for _, want := range []string{"consul", "vault", "nomad-server", "nomad-client", "postgres", "kafka", "mongo", "elasticsearch", "prometheus"} {
		if !names[want] {
			t.Errorf("status lacks %s", want)
		}
	}
	if memory > 3<<30 {
		t.Errorf("all servers together take %d MiB, more than 3 GiB", memory>>20)
	}
	for command, want := range map[string]string{
		"consul members":             "alive",
		"vault status":               "false",
		"nomad job status":           "postgres",
		"nomad node status":          "ready",
		"consul catalog services":    "elasticsearch",
		"vault audit list":           "file",
		"consul intention check x y": "Denied",
		"nomad namespace list":       "infra",
	} {
		got := shell(t, command)
		if !strings.Contains(got, want) {
			t.Errorf("%s does not say %q:\n%s", command, want, got)
		}
	}
}

// shell runs a command line with `souk env` and returns all output.
func shell(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `eval "$("$0" env)"; `+line, env.Program)
	cmd.Dir = env.Root
	cmd.Env = os.Environ()
	out, _ := cmd.CombinedOutput() // the output tells more than the exit code
	return string(out)
}

// TestUpInAShellWithTheEnvironment: the environment puts the instance's own
// programs on PATH, which must not be taken for the machine's.
func TestUpInAShellWithTheEnvironment(t *testing.T) {
	before, pids := allocations(t), agentPIDs()
	if out := shell(t, `"$0" up && "$0" status`); len(did(out)) > 0 || strings.Contains(out, "souk: ") {
		t.Errorf("up says:\n%s", out)
	}
	if after := allocations(t); !maps.Equal(before, after) {
		t.Errorf("allocations changed from %v to %v", before, after)
	}
	if after := agentPIDs(); !maps.Equal(pids, after) {
		t.Errorf("agents changed from %v to %v", pids, after)
	}
}

func TestEnvironmentShowsNoSecret(t *testing.T) {
	out, err := env.Souk(t.Context(), "env")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"consul-management.token", "nomad-management.token", "vault-root.token"} {
		secret, err := env.Secret(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, secret) {
			t.Errorf("souk env prints the content of %s", name)
		}
	}
}

func TestPlanIsCleanAndShowsWhatAHandChanged(t *testing.T) {
	plan := func() string {
		out, err := env.Souk(t.Context(), "plan", "-detailed-exitcode", "-no-color", "-input=false")
		if err == nil {
			return ""
		}
		return out
	}
	if out := plan(); out != "" {
		t.Fatalf("the plan is not clean:\n%s", out)
	}
	v, err := env.Vault()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Sys().DeletePolicyWithContext(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	if out := plan(); !strings.Contains(out, "orders") {
		t.Errorf("the plan does not show the deleted policy:\n%s", out)
	}
	up(t)
	if text, err := v.Sys().GetPolicyWithContext(t.Context(), "orders"); err != nil || text == "" {
		t.Errorf("up did not bring the policy back: %v", err)
	}
	if out := plan(); out != "" {
		t.Errorf("the plan is not clean after up:\n%s", out)
	}
}

func TestEverythingListensOnLoopbackOnly(t *testing.T) {
	addrs, err := env.Listening()
	if err != nil {
		t.Fatal(err)
	}
	if len(addrs) < 10 {
		t.Fatalf("only %d listening sockets found", len(addrs))
	}
	for _, a := range addrs {
		if a != "127.0.0.1" && a != "::1" && a != "::ffff:127.0.0.1" {
			t.Errorf("something listens on %s", a)
		}
	}
}

// TestMissingUnsealKeyIsOneLine: without it nothing can be repaired, and nothing
// must be made worse.
func TestMissingUnsealKeyIsOneLine(t *testing.T) {
	key := env.Path("secrets", "vault-init.json")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	out, err := env.Souk(t.Context(), "up")
	if err == nil || !strings.Contains(out, "vault-init.json, which unseals it, is missing") || !strings.Contains(out, "make down CLEAN=1") {
		t.Errorf("up says: %s", out)
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	if lines := did(up(t)); len(lines) > 0 {
		t.Errorf("after the key is back, up did: %q", lines)
	}
}
