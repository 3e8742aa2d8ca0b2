// Package identity turns what Nomad says a task is into what it may have: a Vault
// token, and from that PostgreSQL credentials and a certificate for mTLS. It
// keeps each of them alive in the background, replaces it at two thirds of its
// life, and rides out a Vault that is away or sealed for as long as what it
// holds lasts. Nothing it logs or returns as an error holds a secret.
package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
)

// Options says who logs in, and where. FromEnv fills in what Nomad knows.
type Options struct {
	Service string // the service's name: its Nomad job, its Vault role, its name in certificates
	Role    string // Vault role of the login and of the certificate; the service's name if empty

	VaultAddr string // URL of Vault
	JWTFile   string // the task's identity as a file, which Nomad rewrites before it expires

	AuthMount, DatabaseMount, PKIMount string // "jwt-nomad", "database" and "pki" if empty

	CertificateTTL time.Duration // 24 h if zero; Vault's role may shorten it
}

// FromEnv reads what Nomad tells a task: NOMAD_SECRETS_DIR, where the identity
// named "vault" lies, and VAULT_ADDR. What is missing is for Login to say.
func FromEnv(service string) Options {
	o := Options{Service: service, VaultAddr: os.Getenv(vaultapi.EnvVaultAddress)}
	if dir := os.Getenv("NOMAD_SECRETS_DIR"); dir != "" {
		o.JWTFile = filepath.Join(dir, "nomad_vault.jwt")
	}
	return o
}

func (o Options) complete() (Options, error) {
	var missing []string
	for name, value := range map[string]string{"Service": o.Service, "VaultAddr (VAULT_ADDR)": o.VaultAddr, "JWTFile (NOMAD_SECRETS_DIR)": o.JWTFile} {
		if value == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return o, fmt.Errorf("identity: not set: %s; a service runs as a Nomad task", strings.Join(missing, ", "))
	}
	orDefault := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	orDefault(&o.Role, o.Service)
	orDefault(&o.AuthMount, "jwt-nomad")
	orDefault(&o.DatabaseMount, "database")
	orDefault(&o.PKIMount, "pki")
	if o.CertificateTTL == 0 {
		o.CertificateTTL = 24 * time.Hour
	}
	return o, nil
}

// Identity is a service's standing with Vault. Its methods may be called at any
// time from anywhere, until Close.
type Identity struct {
	opts  Options
	log   *slog.Logger
	vault *vaultapi.Client
	token *token

	background context.Context // ends with Close
	stop       context.CancelFunc
	running    sync.WaitGroup

	leases      atomic.Int32 // how often Database was called
	issuing     sync.Mutex   // guards certificate
	certificate *Certificate

	mu      sync.Mutex
	keepers []*keeper
}

// Login exchanges the task's identity for a Vault token and keeps it alive until
// Close. While Vault is away, sealed or refuses, it tries again until ctx ends,
// and says in the log why it waits; ctx bounds the login only.
func Login(ctx context.Context, opts Options, log *slog.Logger) (*Identity, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	id := &Identity{opts: opts, log: log.With("component", "identity")}
	if id.vault, err = newVault(opts.VaultAddr, id.answered); err != nil {
		return nil, err
	}
	id.background, id.stop = context.WithCancel(context.WithoutCancel(ctx))
	id.token = &token{id: id}
	id.token.keeper = id.newKeeper("token", opts.Role, time.Second, id.token.renew)
	if err := id.start(ctx, id.token.keeper); err != nil {
		id.stop()
		return nil, err
	}
	return id, nil
}

// Vault is a client that always holds the live token. Don't set another on it;
// a clone doesn't follow.
func (id *Identity) Vault() *vaultapi.Client { return id.vault }

// Service is the name this identity stands for.
func (id *Identity) Service() string { return id.opts.Service }

// Ready tells whether others can speak to the service: nil unless its certificate
// ran out. A token or lease that can't be renewed is for the metrics to tell: open
// database sessions outlive a lease while Vault is away, and the pool tells of
// its own state.
func (id *Identity) Ready() error {
	var errs []error
	for _, k := range id.held() {
		if k.vital && time.Now().After(k.expiry()) {
			errs = append(errs, fmt.Errorf("%s %s ran out at %s", k.kind, k.name, k.expiry().UTC().Format(time.RFC3339)))
		}
	}
	return errors.Join(errs...)
}

// Close ends the renewals and gives up the token, with which Vault drops the
// database users at once; close their pools first. ctx bounds the call to Vault.
func (id *Identity) Close(ctx context.Context) error {
	id.stop()
	id.running.Wait()
	if err := id.vault.Auth().Token().RevokeSelfWithContext(ctx, ""); err != nil && !refused(err) { // refused: it is gone
		return fmt.Errorf("identity: give up the token, which now ends by itself: %w", explain(err))
	}
	return nil
}

// start makes the keeper's first thing, trying until ctx ends, and keeps it from
// then on.
func (id *Identity) start(ctx context.Context, k *keeper) error {
	if err := k.first(ctx); err != nil {
		return err
	}
	id.mu.Lock()
	id.keepers = append(id.keepers, k)
	id.mu.Unlock()
	id.running.Go(func() { k.run(id.background) })
	return nil
}

func (id *Identity) held() []*keeper {
	id.mu.Lock()
	defer id.mu.Unlock()
	return append([]*keeper(nil), id.keepers...)
}
