package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// kept is unique to a test run, and a valid name everywhere.
func kept(name string) string { return fmt.Sprintf("kept-%s-%d", name, time.Now().UnixNano()) }

// TestKilledJobHealsByItself kills the server of each infra job with SIGKILL.
func TestKilledJobHealsByItself(t *testing.T) {
	all := keepers(t)
	for _, job := range []string{"postgres", "kafka", "mongo", "elasticsearch", "prometheus"} {
		t.Run(job, func(t *testing.T) {
			id := kept(job)
			eventually(t, time.Minute, "write to "+job, func(ctx context.Context) error { return all[job].put(ctx, id) })
			victim := taskProcess(t, job)
			if err := syscall.Kill(int(victim.Pid), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			since := time.Now()
			eventually(t, 2*time.Minute, job+" serves its data again", func(ctx context.Context) error { return all[job].get(ctx, id) })
			d := deployer(t)
			eventually(t, 2*time.Minute, job+" is healthy", func(ctx context.Context) error { return d.Healthy(ctx, "infra", job) })
			t.Logf("%s healed within %s", job, time.Since(since).Round(100*time.Millisecond))
			if now := taskProcess(t, job); now.Pid == victim.Pid {
				t.Errorf("process %d was not replaced", now.Pid)
			}
		})
	}
}

// taskProcess is the main process of a job's task: the one that Nomad's executor started.
func taskProcess(t *testing.T, job string) *process.Process {
	t.Helper()
	return processWith(t, "NOMAD_JOB_ID="+job)
}

// processWith is the first of the processes that have a variable in their environment.
func processWith(t *testing.T, variable string) *process.Process {
	t.Helper()
	own, err := env.Processes()
	if err != nil {
		t.Fatal(err)
	}
	found := map[int32]*process.Process{}
	for _, p := range own {
		environ, _ := p.Environ()
		for _, e := range environ {
			if e == variable {
				found[p.Pid] = p
			}
		}
	}
	for _, p := range found {
		if parent, err := p.Ppid(); err == nil && found[parent] == nil {
			return p
		}
	}
	t.Fatalf("no process has %s", variable)
	return nil
}

// TestKilledAgentComesBackWithUp kills each agent with SIGKILL. The jobs go on
// meanwhile, and `souk up` brings the agent back with its data.
func TestKilledAgentComesBackWithUp(t *testing.T) {
	all := keepers(t)
	for _, agent := range []string{"consul", "vault", "nomad-server", "nomad-client"} {
		t.Run(agent, func(t *testing.T) {
			id := kept(agent)
			if err := all[agent].put(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			before := allocations(t)
			if err := syscall.Kill(int(env.PID(agent)), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, 10*time.Second, agent+" is gone", func(context.Context) error {
				if pid := env.PID(agent); pid != 0 {
					return fmt.Errorf("process %d runs", pid)
				}
				return nil
			})
			if out, err := env.Souk(t.Context(), "status"); err == nil {
				t.Errorf("status says all is well without %s:\n%s", agent, out)
			}
			for _, job := range []string{"postgres", "elasticsearch"} {
				if taskProcess(t, job) == nil {
					t.Errorf("%s ended with %s", job, agent)
				}
			}
			out := up(t)
			if !strings.Contains(out, "started "+agent) {
				t.Errorf("up does not say that it started %s:\n%s", agent, out)
			}
			eventually(t, 10*time.Second, agent+" serves its data again", func(ctx context.Context) error { return all[agent].get(ctx, id) })
			if after := allocations(t); !maps.Equal(before, after) {
				t.Errorf("allocations changed from %v to %v", before, after)
			}
		})
	}
}

// TestKillOfTheWholeMachine ends every process at once with SIGKILL and expects
// everything back, with all data. (What the operating system has taken but not yet
// put on disk survives this, unlike a power cut.)
func TestKillOfTheWholeMachine(t *testing.T) {
	all, ids := keepers(t), map[string]string{}
	for name, k := range all {
		ids[name] = kept(name)
		eventually(t, time.Minute, "write to "+name, func(ctx context.Context) error { return k.put(ctx, ids[name]) })
	}
	killEverything(t)
	since := time.Now()
	up(t)
	t.Logf("everything was back after %s", time.Since(since).Round(100*time.Millisecond))
	for name, k := range all {
		eventually(t, time.Minute, name+" serves its data again", func(ctx context.Context) error { return k.get(ctx, ids[name]) })
	}
}

func killEverything(t *testing.T) {
	t.Helper()
	for range 20 { // executors may start something in between
		own, err := env.Processes()
		if err != nil {
			t.Fatal(err)
		}
		if len(own) == 0 {
			return
		}
		for _, p := range own {
			_ = syscall.Kill(int(p.Pid), syscall.SIGKILL)
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal("processes keep coming back")
}
