// Package e2e tests Souk from the outside, on real servers that `souk up` brought up.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"souk/internal/deploy"
	"souk/internal/testenv"
)

var env *testenv.Env

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("these tests need the servers; -short leaves them out")
		os.Exit(0)
	}
	os.Exit(run(m))
}

// run brings the stack up, runs the tests, and leaves nothing behind.
func run(m *testing.M) int {
	ctx := context.Background()
	var err error
	if env, err = testenv.Open(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// SOUK_TEST_KEEP uses the stack of the run before, and leaves it to the next.
	clean := func() {
		if os.Getenv("SOUK_TEST_KEEP") == "" {
			_, _ = env.Souk(ctx, "down", "--clean")
		}
	}
	clean() // what an interrupted run or the packages' own tests left
	defer clean()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		clean()
		os.Exit(130)
	}()
	if _, err := env.Souk(ctx, "up"); err != nil {
		fmt.Fprintln(os.Stderr, "souk up:", err)
		return 1
	}
	if operator, err = operatorTokens(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// up repairs the stack and returns what it says it did.
func up(t *testing.T) string {
	t.Helper()
	out, err := env.Souk(t.Context(), "up")
	if err != nil {
		t.Fatalf("souk up: %v", err)
	}
	return out
}

// eventually repeats f until it returns nil.
func eventually(t *testing.T, limit time.Duration, what string, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		attempt, done := context.WithTimeout(ctx, 10*time.Second)
		err := f(attempt)
		done()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func deployer(t *testing.T) *deploy.Deployer {
	t.Helper()
	nomad, err := env.Nomad()
	if err != nil {
		t.Fatal(err)
	}
	consul, err := env.Consul()
	if err != nil {
		t.Fatal(err)
	}
	return &deploy.Deployer{Nomad: nomad, Consul: consul}
}

// allocations maps each running allocation to its job's version.
func allocations(t *testing.T) map[string]uint64 {
	t.Helper()
	nomad, err := env.Nomad()
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := nomad.Allocations().List((&nomadapi.QueryOptions{Namespace: "*"}).WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	running := map[string]uint64{}
	for _, a := range list {
		if a.ClientStatus == nomadapi.AllocClientStatusRunning {
			running[a.JobID+" "+a.ID] = a.JobVersion
		}
	}
	return running
}

// did are the lines in which souk says that it changed something.
func did(out string) []string {
	var lines []string
	for line := range strings.Lines(out) {
		hint := strings.HasPrefix(line, "  bin/souk") || strings.HasPrefix(line, "  eval") || strings.HasPrefix(line, "  curl") || strings.HasPrefix(line, "  open")
		if strings.HasPrefix(line, "  ") && !hint && !strings.Contains(line, "Souk needs") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
