package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const kindLease = "lease"

// Lease is a PostgreSQL user of Vault's making. Printing or logging one shows no
// password.
type Lease struct {
	ID       string // Vault's name for it
	Username string
	Expires  time.Time // Vault then ends the user and its sessions
	password string
}

// Password is for the connection alone.
func (l Lease) Password() string { return l.password }

// String names the user; the password stays out, with %+v too.
func (l Lease) String() string {
	return fmt.Sprintf("%s until %s", l.Username, l.Expires.UTC().Format(time.RFC3339))
}

// GoString keeps %#v from showing the password.
func (l Lease) GoString() string { return "identity.Lease{" + l.String() + "}" }

// LogValue implements slog.LogValuer.
func (l Lease) LogValue() slog.Value { return slog.StringValue(l.String()) }

// Credentials are a database role's: always a lease with time left, unless Vault
// has been away for longer than one lasts.
type Credentials struct {
	id      *Identity
	role    string
	keeper  *keeper
	current atomic.Pointer[Lease]

	mu        sync.Mutex
	listeners []func(Lease)
}

// Database gets credentials for a database role of Vault's and keeps a lease
// with time left: a new one at two thirds of the last, and at once when the
// token was replaced or somebody finds the lease dead. It tries until ctx ends.
// Every call has leases of its own, so one pool's are not another's.
func (id *Identity) Database(ctx context.Context, role string) (*Credentials, error) {
	c := &Credentials{id: id, role: role}
	name := role
	if n := id.leases.Add(1); n > 1 {
		name = fmt.Sprintf("%s#%d", role, n)
	}
	c.keeper = id.newKeeper(kindLease, name, 2*time.Second, c.renew)
	if err := id.start(ctx, c.keeper); err != nil {
		return nil, err
	}
	return c, nil
}

// Current is the newest lease.
func (c *Credentials) Current() Lease { return *c.current.Load() }

// OnChange has f called with each new lease. f must not block.
func (c *Credentials) OnChange(f func(Lease)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, f)
}

// Suspect says that the database refuses the lease: unless a newer one is there
// already, it is replaced now.
func (c *Credentials) Suspect(l Lease) {
	if c.Current().ID == l.ID {
		c.keeper.suspect()
	}
}

// Revoke ends a lease: Vault ends the user's sessions and drops it. It succeeds
// for one that is gone.
func (c *Credentials) Revoke(ctx context.Context, l Lease) error {
	// The lease in the path, so that a policy can say whose may be revoked.
	_, err := c.id.vault.Logical().WriteWithContext(ctx, "sys/leases/revoke/"+l.ID, nil)
	if err != nil {
		return fmt.Errorf("identity: revoke the lease of %s: %w", l.Username, explain(err))
	}
	return nil
}

func (c *Credentials) renew(ctx context.Context) (time.Duration, error) {
	asked := time.Now()
	secret, err := c.id.vault.Logical().ReadWithContext(ctx, c.id.opts.DatabaseMount+"/creds/"+c.role)
	if err != nil {
		return 0, explain(err)
	}
	if secret == nil || secret.LeaseDuration <= 0 || secret.LeaseID == "" {
		return 0, errors.New("the answer of Vault holds no lease")
	}
	life := time.Duration(secret.LeaseDuration) * time.Second
	l := Lease{ID: secret.LeaseID, Expires: asked.Add(life).Round(0)}
	l.Username, _ = secret.Data["username"].(string)
	l.password, _ = secret.Data["password"].(string)
	if l.Username == "" || l.password == "" {
		return 0, errors.New("the answer of Vault holds no user or no password")
	}
	c.current.Store(&l)
	c.keeper.log.Info("new database credentials", "user", l.Username, "life", life.String())
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.listeners {
		f(l)
	}
	return life, nil
}
