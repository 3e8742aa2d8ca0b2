package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"souk/internal/testenv"
)

// journal keeps what is logged, for tests to read.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// optionsOf is what FromEnv finds in a workload's environment.
func optionsOf(t *testing.T, w testenv.Workload, service string) Options {
	t.Helper()
	w.Setenv(t)
	return FromEnv(service)
}

// login logs in as the workload and fails the test if a secret was ever logged.
func login(t *testing.T, opts Options) (*Identity, *journal) {
	t.Helper()
	j := &journal{}
	id, err := Login(within(t, 30*time.Second), opts, j.logger())
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{id.Vault().Token()}
	t.Cleanup(func() {
		if err := id.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		for _, s := range secrets {
			if strings.Contains(j.String(), s) {
				t.Errorf("a secret was logged:\n%s", j)
			}
		}
		if strings.Contains(j.String(), "hvs.") || strings.Contains(j.String(), "eyJ") {
			t.Errorf("a token or JWT was logged:\n%s", j)
		}
	})
	return id, j
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, limit time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// vaultRoot is the test instance's Vault with a token that may do anything.
func vaultRoot(t *testing.T, env *testenv.Env) *vaultapi.Client {
	t.Helper()
	c, err := env.Vault()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLoginGivesATokenForItsOwnPathsAlone(t *testing.T) {
	env := testenv.Start(t)
	t.Setenv("VAULT_TOKEN", vaultRoot(t, env).Token()) // as in a developer's shell
	id, _ := login(t, optionsOf(t, env.Workload(t, "probe"), "probe"))

	self, err := id.Vault().Auth().Token().LookupSelfWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if policies, _ := self.TokenPolicies(); len(policies) != 2 || policies[0] != "default" || policies[1] != "probe" {
		t.Errorf("policies %v, want default and probe", policies)
	}
	for _, path := range []string{"database/creds/orders", "secret/data/souk/orders", "pki/roles/probe", "sys/mounts"} {
		_, err := id.Vault().Logical().ReadWithContext(t.Context(), path)
		if answer := (*vaultapi.ResponseError)(nil); !errors.As(err, &answer) || answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: want 403, got %v", path, err)
		}
	}
	// Those refusals made it look at its token, and it found it alive.
	if _, err := id.Vault().Auth().Token().LookupSelfWithContext(t.Context()); err != nil {
		t.Error(err)
	}
	if err := id.Ready(); err != nil {
		t.Error(err)
	}
}

func TestCloseGivesUpTheTokenAndTheDatabaseUsers(t *testing.T) {
	env := testenv.Start(t)
	id, _ := login(t, optionsOf(t, env.Workload(t, "probe"), "probe"))
	creds, err := id.Database(within(t, 10*time.Second), "probe")
	if err != nil {
		t.Fatal(err)
	}
	token, lease := id.Vault().Token(), creds.Current()
	if err := id.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	root := vaultRoot(t, env)
	if _, err := root.Auth().Token().LookupWithContext(t.Context(), token); err == nil {
		t.Error("the token still lives")
	}
	eventually(t, 5*time.Second, "the lease ends", func() error {
		if _, err := root.Sys().LookupWithContext(t.Context(), lease.ID); err == nil {
			return errors.New("it lives")
		}
		return nil
	})
}

func TestLoginSaysWhyItWaits(t *testing.T) {
	env := testenv.Start(t)
	opts := optionsOf(t, env.Workload(t, "probe"), "probe")
	jwt, err := os.ReadFile(opts.JWTFile)
	if err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(t.TempDir(), "jwt")
	if err := os.WriteFile(forged, append(bytes.TrimSpace(jwt), "AAAA"...), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*Options)) Options {
		o := opts
		change(&o)
		return o
	}
	for name, c := range map[string]struct {
		opts Options
		want string
	}{
		"no identity":     {with(func(o *Options) { o.JWTFile = "/nowhere/nomad_vault.jwt" }), `identity { name = "vault"`},
		"forged identity": {with(func(o *Options) { o.JWTFile = forged }), "auth/jwt-nomad/login: error validating token"},
		"another's role":  {with(func(o *Options) { o.Role = "orders" }), "nomad_job_id"},
		"unknown role":    {with(func(o *Options) { o.Role = "nobody" }), `role "nobody" could not be found`},
		"nobody there":    {with(func(o *Options) { o.VaultAddr = "http://127.0.0.1:1" }), "connection refused"},
		"nothing set":     {Options{}, "runs as a Nomad task"},
	} {
		t.Run(name, func(t *testing.T) {
			j := &journal{}
			_, err := Login(within(t, time.Second), c.opts, j.logger())
			if err == nil {
				t.Fatal("logged in")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("want one line with %q, got %q", c.want, err)
			}
			if c.opts.Service != "" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not say that time was up", err)
			}
			if n := strings.Count(j.String(), "can't get the token"); c.opts.Service != "" && n != 1 {
				t.Errorf("the same reason was logged %d times:\n%s", n, j)
			}
			for _, text := range []string{err.Error(), j.String()} {
				if strings.Contains(text, "eyJ") || strings.Contains(text, string(jwt[:40])) {
					t.Errorf("the identity shows: %s", text)
				}
			}
		})
	}
}

// TestARevokedTokenIsReplacedWithItsLeases: somebody revokes the token; the next
// call finds out, and all that hung on it is there anew.
func TestARevokedTokenIsReplacedWithItsLeases(t *testing.T) {
	env := testenv.Start(t)
	id, _ := login(t, optionsOf(t, env.Workload(t, "probe"), "probe"))
	creds, err := id.Database(within(t, 10*time.Second), "probe")
	if err != nil {
		t.Fatal(err)
	}
	before, lease := id.Vault().Token(), creds.Current()
	changed := make(chan Lease, 8)
	creds.OnChange(func(l Lease) { changed <- l })
	if err := vaultRoot(t, env).Auth().Token().RevokeTreeWithContext(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	if _, err := id.Vault().Logical().ReadWithContext(t.Context(), "secret/data/souk/probe"); !refused(err) {
		t.Fatalf("want the dead token refused, got %v", err)
	}
	select {
	case l := <-changed:
		if l.ID == lease.ID || l.Username == lease.Username {
			t.Errorf("the lease is the old one: %v", l)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no new lease within 10 s")
	}
	if id.Vault().Token() == before {
		t.Error("the token is the old one")
	}
	if _, err := id.Vault().Auth().Token().LookupSelfWithContext(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestASuspectedLeaseIsReplaced: the database tells that the user is gone before Vault does.
func TestASuspectedLeaseIsReplaced(t *testing.T) {
	env := testenv.Start(t)
	id, _ := login(t, optionsOf(t, env.Workload(t, "probe"), "probe"))
	creds, err := id.Database(within(t, 10*time.Second), "probe")
	if err != nil {
		t.Fatal(err)
	}
	first := creds.Current()
	for range 100 {
		creds.Suspect(first)
	}
	eventually(t, 5*time.Second, "a new lease", func() error {
		if creds.Current().ID == first.ID {
			return errors.New("still the first")
		}
		return nil
	})
	second := creds.Current()
	creds.Suspect(first) // of old
	time.Sleep(3 * time.Second)
	if creds.Current().ID != second.ID {
		t.Error("a suspicion of a lease that is replaced already replaced the next")
	}
	if err := creds.Revoke(t.Context(), first); err != nil {
		t.Error(err)
	}
	if err := creds.Revoke(t.Context(), first); err != nil {
		t.Errorf("revoking what is gone: %v", err)
	}
}

// TestASealedVaultIsRiddenOut: what is held serves on, what is asked for waits,
// and all goes on when Vault does.
func TestASealedVaultIsRiddenOut(t *testing.T) {
	env := testenv.Start(t)
	opts := optionsOf(t, env.Workload(t, "probe"), "probe")
	id, j := login(t, opts)
	cert, err := id.Certificate(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	creds, err := id.Database(within(t, 10*time.Second), "probe")
	if err != nil {
		t.Fatal(err)
	}
	lease := creds.Current()

	unlock := seal(t, env)
	_, err = Login(within(t, 2*time.Second), opts, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "Vault is sealed") {
		t.Errorf("want a login that waits for the seal, got %v", err)
	}
	creds.Suspect(lease)
	cert.keeper.now()
	time.Sleep(3 * time.Second)
	if err := id.Ready(); err != nil {
		t.Errorf("not ready although everything held is good: %v", err)
	}
	if creds.Current().ID != lease.ID || cert.Leaf() == nil {
		t.Error("what was held is gone")
	}
	if n := strings.Count(j.String(), "Vault is sealed"); n < 2 || n > 4 {
		t.Errorf("the seal was logged %d times, want once for each thing that waits:\n%s", n, j)
	}

	waiting := make(chan error, 1)
	go func() {
		other, err := Login(within(t, 30*time.Second), opts, slog.New(slog.DiscardHandler))
		if err == nil {
			err = other.Close(context.WithoutCancel(t.Context()))
		}
		waiting <- err
	}()
	serial := cert.Leaf().SerialNumber
	unseal(t, env)
	unlock()
	eventually(t, 15*time.Second, "lease and certificate are renewed", func() error {
		if creds.Current().ID == lease.ID {
			return errors.New("still the old lease")
		}
		if cert.Leaf().SerialNumber.Cmp(serial) == 0 {
			return errors.New("still the old certificate")
		}
		return nil
	})
	if err := <-waiting; err != nil {
		t.Errorf("a login that waited for Vault: %v", err)
	}
}

// seal keeps others' `souk up` waiting, which would unseal it again.
func seal(t *testing.T, env *testenv.Env) (unlock func()) {
	t.Helper()
	unlock = hold(t, env)
	t.Cleanup(func() { unseal(t, env) })
	if err := vaultRoot(t, env).Sys().SealWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return unlock
}

// hold takes the lock of the test instance that `souk up` takes.
func hold(t *testing.T, env *testenv.Env) (unlock func()) {
	t.Helper()
	unlock, err := env.Lock(t.Context(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	return unlock
}

// unseal does what `souk up` does, without the rest of it.
func unseal(t *testing.T, env *testenv.Env) {
	t.Helper()
	raw, err := os.ReadFile(env.Path("secrets", "vault-init.json"))
	if err != nil {
		t.Fatal(err)
	}
	var keys struct {
		Keys []string `json:"unseal_keys_b64"`
	}
	if err := json.Unmarshal(raw, &keys); err != nil {
		t.Fatal(err)
	}
	root := vaultRoot(t, env)
	if _, err := root.Sys().UnsealWithContext(context.WithoutCancel(t.Context()), keys.Keys[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "Vault is active", func() error {
		health, err := root.Sys().HealthWithContext(context.WithoutCancel(t.Context()))
		if err == nil && (health.Sealed || health.Standby) {
			err = errors.New("not active yet")
		}
		return err
	})
}
