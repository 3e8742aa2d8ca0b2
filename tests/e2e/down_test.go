package e2e

import (
	"context"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func TestDownLeavesNothingAndUpBringsTheDataBack(t *testing.T) {
	all, ids := keepers(t), map[string]string{}
	for name, k := range all {
		ids[name] = kept(name)
		eventually(t, time.Minute, "write to "+name, func(ctx context.Context) error { return k.put(ctx, ids[name]) })
	}
	if out, err := env.Souk(t.Context(), "down"); err != nil {
		t.Fatalf("down: %v\n%s", err, out)
	}
	checkNothingRuns(t)
	if out, err := env.Souk(t.Context(), "down"); err != nil {
		t.Errorf("a second down: %v\n%s", err, out)
	}

	since := time.Now()
	up(t)
	t.Logf("up from a stopped stack took %s", time.Since(since).Round(100*time.Millisecond))
	for name, k := range all {
		eventually(t, time.Minute, name+" serves its data again", func(ctx context.Context) error { return k.get(ctx, ids[name]) })
	}
}

// TestDownAfterAKilledNomadEndsItsTasks: nobody is left to stop the tasks properly.
func TestDownAfterAKilledNomadEndsItsTasks(t *testing.T) {
	if err := syscall.Kill(int(env.PID("nomad-client")), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if out, err := env.Souk(t.Context(), "down"); err != nil {
		t.Fatalf("down: %v\n%s", err, out)
	}
	checkNothingRuns(t)
	up(t)
}

func checkNothingRuns(t *testing.T) {
	t.Helper()
	own, err := env.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range own {
		line, _ := p.Cmdline()
		t.Errorf("process %d still runs: %s", p.Pid, line)
	}
	mounts, err := env.Mounts()
	if err != nil {
		t.Fatal(err)
	}
	if len(mounts) > 0 {
		t.Errorf("still mounted: %v", mounts)
	}
	for port := env.Ports.Base; port <= env.Ports.NomadDynamicLast; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Errorf("port %d is still taken", port)
			continue
		}
		l.Close()
	}
}
