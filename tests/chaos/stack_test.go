package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shirou/gopsutil/v4/process"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"souk/internal/deploy"
	"souk/internal/testenv"
)

// stack is the running test instance, with everything of Souk's on it.
type stack struct {
	*testenv.Env
	deployer *deploy.Deployer
	operator oauth2.TokenSource
}

// shared is brought up by the first test that wants it.
var shared struct {
	once  sync.Once
	stack *stack
	err   error
}

func TestMain(m *testing.M) {
	flag.Parse()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		clean()
		os.Exit(130)
	}()
	code := m.Run()
	clean()
	os.Exit(code)
}

// clean leaves nothing behind, unless SOUK_TEST_KEEP leaves the stack to the next run.
func clean() {
	if shared.stack != nil && os.Getenv("SOUK_TEST_KEEP") == "" {
		_, _ = shared.stack.Souk(context.Background(), "down", "--clean")
	}
}

// up gives the stack, and skips the test with -short.
func up(t *testing.T) *stack {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the servers; -short leaves it out")
	}
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
		defer cancel()
		shared.stack, shared.err = bringUp(ctx)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.stack
}

func bringUp(ctx context.Context) (*stack, error) {
	env, err := testenv.Open(ctx)
	if err != nil {
		return nil, err
	}
	s := &stack{Env: env}
	if _, err := env.Souk(ctx, "up"); err != nil {
		return s, fmt.Errorf("souk up: %w", err)
	}
	nomad, err := env.Nomad()
	if err != nil {
		return s, err
	}
	consul, err := env.Consul()
	if err != nil {
		return s, err
	}
	s.deployer = &deploy.Deployer{Nomad: nomad, Consul: consul}
	vault, err := env.Vault()
	if err != nil {
		return s, err
	}
	secret, err := vault.KVv2("secret").Get(ctx, "souk/users")
	if err != nil {
		return s, err
	}
	value, _ := secret.Data["client_secret_souk-operator"].(string)
	value, _, _ = strings.Cut(value, "\n")
	grant := clientcredentials.Config{
		ClientID: "souk-operator", ClientSecret: value, TokenURL: env.GatewayURL() + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader,
	}
	s.operator = grant.TokenSource(context.Background())
	return s, nil
}

// infra are the victims that run beside the services.
var infra = map[string]bool{"kafka": true, "postgres": true}

// kill ends the main process of a job with SIGKILL. A job whose process is just being started anew is waited for.
func (s *stack) kill(ctx context.Context, job string) (pid int32, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		victim, err := s.mainProcess(job)
		if err != nil {
			return 0, err
		}
		if victim != 0 {
			return victim, syscall.Kill(int(victim), syscall.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%s has no process to kill", job)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// mainProcess is the one that Nomad's executor started for the job's allocation; 0: there is none.
func (s *stack) mainProcess(job string) (int32, error) {
	own, err := s.Processes()
	if err != nil {
		return 0, err
	}
	found := map[int32]*process.Process{}
	for _, p := range own {
		environ, _ := p.Environ()
		for _, e := range environ {
			if e == "NOMAD_JOB_ID="+job {
				found[p.Pid] = p
			}
		}
	}
	for pid, p := range found {
		if parent, err := p.Ppid(); err == nil && found[parent] == nil {
			return pid, nil
		}
	}
	return 0, nil
}

// healed waits until every victim is healthy again.
func (s *stack) healed(ctx context.Context) error {
	for _, job := range victims {
		namespace := "souk"
		if infra[job] {
			namespace = "infra"
		}
		if err := s.deployer.Await(ctx, namespace, job, 2*time.Minute); err != nil {
			return err
		}
	}
	return nil
}

// database connects to a service's database with credentials that Vault makes, as the service does.
func (s *stack) database(ctx context.Context, service string) (*pgx.Conn, error) {
	vault, err := s.Vault()
	if err != nil {
		return nil, err
	}
	creds, err := vault.Logical().ReadWithContext(ctx, "database/creds/"+service)
	if err != nil || creds == nil {
		return nil, errors.Join(fmt.Errorf("no credentials of %s from Vault", service), err)
	}
	config, err := pgx.ParseConfig("postgres://" + s.PostgresAddr() + "/" + service + "?sslmode=disable&connect_timeout=5")
	if err != nil {
		return nil, err
	}
	config.User, _ = creds.Data["username"].(string)
	config.Password, _ = creds.Data["password"].(string)
	return pgx.ConnectConfig(ctx, config)
}

// with runs f on a service's database.
func (s *stack) with(ctx context.Context, service string, f func(*pgx.Conn) error) error {
	db, err := s.database(ctx, service)
	if err != nil {
		return fmt.Errorf("%s: %w", service, err)
	}
	defer db.Close(context.WithoutCancel(ctx))
	if err := f(db); err != nil {
		return fmt.Errorf("%s: %w", service, err)
	}
	return nil
}
