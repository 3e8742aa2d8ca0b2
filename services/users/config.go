package main

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"souk/internal/config"
	"souk/services/users/app"
	"souk/services/users/oauth"
)

// Config is consul-config/kv/<env>/users.yaml on top of Defaults. It holds no secret: those of the clients are in
// Vault, at secret/souk/users.
type Config struct {
	// These take effect at once.
	LogLevel slog.Level     `yaml:"log_level"` // debug, info, warn, error
	Clients  []oauth.Client `yaml:"clients"`   // programs that may ask for tokens
	// PublishDelay is how long a new version of the signing key is published before it signs: longer than verifiers
	// and other instances of users go without asking for the keys.
	PublishDelay time.Duration `yaml:"publish_delay"`
	Lockout      Lockout       `yaml:"lockout"`

	// These are read when the service starts.
	RequestTimeout time.Duration `yaml:"request_timeout"` // for one request, the database and the wait for a password's hash included
	Connections    int32         `yaml:"connections"`     // to PostgreSQL, of one instance
}

// Lockout is after how many wrong passwords a login is refused for a while. Each refusal lasts twice as long as the one
// before.
type Lockout struct {
	AccountFailures int           `yaml:"account_failures"`
	AccountWindow   time.Duration `yaml:"account_window"` // after which they are forgotten
	AddressFailures int           `yaml:"address_failures"`
	AddressWindow   time.Duration `yaml:"address_window"`
	First           time.Duration `yaml:"first"`
	Longest         time.Duration `yaml:"longest"`
}

func (l Lockout) app() app.Lockout { return app.Lockout(l) }

// Defaults suit development. There are no clients but those that the document names.
func Defaults() Config {
	return Config{
		LogLevel: slog.LevelInfo, PublishDelay: time.Minute, Lockout: Lockout(app.DefaultLockout()),
		RequestTimeout: 8 * time.Second, Connections: 10,
	}
}

// Validate returns every problem, one line each.
func (c *Config) Validate() error {
	return errors.Join(
		config.Within("log_level", c.LogLevel, slog.LevelDebug, slog.LevelError),
		config.Within("publish_delay", c.PublishDelay, 20*time.Second, 24*time.Hour),
		config.Within("request_timeout", c.RequestTimeout, 100*time.Millisecond, 30*time.Second),
		config.Within("connections", c.Connections, 3, 50),
		config.Within("lockout.account_failures", c.Lockout.AccountFailures, 2, 1000),
		config.Within("lockout.account_window", c.Lockout.AccountWindow, time.Minute, 24*time.Hour),
		config.Within("lockout.address_failures", c.Lockout.AddressFailures, 2, 1_000_000),
		config.Within("lockout.address_window", c.Lockout.AddressWindow, time.Minute, 24*time.Hour),
		config.Within("lockout.first", c.Lockout.First, 100*time.Millisecond, time.Minute),
		config.Within("lockout.longest", c.Lockout.Longest, c.Lockout.First, 24*time.Hour),
		oauth.CheckClients(c.Clients, allScopes()),
	)
}

// allScopes are those that some role gives.
func allScopes() []string {
	scopes := app.ScopesOf([]string{app.Customer, app.Support, app.Merchandiser, app.Admin})
	slices.Sort(scopes)
	return slices.Compact(scopes)
}
