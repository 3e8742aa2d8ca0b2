package mail

import (
	"context"
	"errors"
	"sync"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
)

// Where credentials are in Vault's KV store (version 2): secret/data/souk/notifications.
const (
	secretMount = "secret"
	secretPath  = "souk/notifications"
	usernameKey = "smtp_username"
	passwordKey = "smtp_password"
)

// rereadGap is how often a server's refusal makes us ask Vault: the password may have been changed there.
const rereadGap = 2 * time.Second

// Credentials of the SMTP server, read from Vault when they are needed first, and again when the server refuses them.
type Credentials struct {
	vault *vaultapi.Client

	mu    sync.Mutex
	known bool
	asked time.Time
	login login
}

// login is empty where the server wants none.
type login struct{ username, password string }

// NewCredentials reads with the service's own Vault client.
func NewCredentials(vault *vaultapi.Client) *Credentials { return &Credentials{vault: vault} }

// get gives the credentials as far as they are known, else as Vault has them.
func (c *Credentials) get(ctx context.Context) (login, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		return c.login, nil
	}
	c.asked = time.Now()
	secret, err := c.vault.KVv2(secretMount).Get(ctx, secretPath)
	if errors.Is(err, vaultapi.ErrSecretNotFound) || err == nil && secret.Data == nil { // none, or deleted
		c.login, c.known = login{}, true
		return c.login, nil
	}
	if err != nil {
		return login{}, err
	}
	var l login
	l.username, _ = secret.Data[usernameKey].(string)
	l.password, _ = secret.Data[passwordKey].(string)
	if (l.username == "") != (l.password == "") {
		return login{}, errors.New(secretPath + " in Vault has one of " + usernameKey + " and " + passwordKey + " without the other")
	}
	c.login, c.known = l, true
	return l, nil
}

// refused says that the server would not have these: the next get looks into Vault, unless one has done so just now.
func (c *Credentials) refused(l login) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.login == l && time.Since(c.asked) >= rereadGap {
		c.known = false
	}
}
