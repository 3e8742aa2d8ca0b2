// Command probe walks the chain that every Souk service relies on, from inside a
// Nomad task: workload identity, Vault token, dynamic PostgreSQL credentials that
// expire, a certificate, the Consul registration and configuration. It prints a
// JSON line a step, never a secret, and exits with 1 at the first that fails.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

// settings is what Nomad tells a task.
type settings struct {
	job, alloc, environment string
	listen                  string // host:port of the registered service
	secrets                 string // the task's secrets directory
	vaultAddr, consulAddr   string
}

func readSettings() (settings, error) {
	s := settings{
		job: os.Getenv("NOMAD_JOB_ID"), alloc: os.Getenv("NOMAD_ALLOC_ID"), environment: os.Getenv("SOUK_ENV"),
		listen: os.Getenv("NOMAD_ADDR_http"), secrets: os.Getenv("NOMAD_SECRETS_DIR"),
		vaultAddr: os.Getenv("VAULT_ADDR"), consulAddr: os.Getenv("CONSUL_HTTP_ADDR"),
	}
	for name, value := range map[string]string{
		"NOMAD_JOB_ID": s.job, "NOMAD_ALLOC_ID": s.alloc, "SOUK_ENV": s.environment, "NOMAD_ADDR_http": s.listen,
		"NOMAD_SECRETS_DIR": s.secrets, "VAULT_ADDR": s.vaultAddr, "CONSUL_HTTP_ADDR": s.consulAddr,
	} {
		if value == "" {
			return s, fmt.Errorf("%s is not set: run this as the Nomad job nomad/probe/probe.nomad.hcl", name)
		}
	}
	return s, nil
}

func run(ctx context.Context) error {
	s, err := readSettings()
	if err != nil {
		return err
	}
	stop, err := serveHealth(s.listen)
	if err != nil {
		return err
	}
	defer stop()

	c, err := login(ctx, s)
	if err != nil {
		return fmt.Errorf("vault login: %w", err)
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) (map[string]any, error)
	}{
		{"vault-token", c.vaultToken},
		{"vault-denies-others", c.vaultDeniesOthers},
		{"consul-registration", c.registration},
		{"consul-kv", c.configuration},
		{"consul-denies-others", c.consulDeniesOthers},
		{"certificate", c.certificate},
		{"postgres-credentials", c.credentials},
		{"postgres-expiry", c.expiry},
	} {
		detail, err := step.do(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		line, err := json.Marshal(map[string]any{"step": step.name, "ok": true, "detail": detail})
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	return nil
}

// serveHealth answers Consul's check until the probe ends.
func serveHealth(addr string) (stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		ReadHeaderTimeout: 2 * time.Second,
	}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "probe: health server:", err)
		}
	}()
	return func() { _ = server.Close() }, nil
}
