package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"souk/internal/config"
	"souk/services/payments/app"
	"souk/services/payments/provider/sandbox"
	"souk/services/payments/provider/stripe"
	"souk/services/payments/webhooks"
)

// Config is consul-config/kv/<env>/payments.yaml on top of Defaults. It holds no secret: those of the providers are in
// Vault, at secret/souk/payments.
type Config struct {
	// These take effect at once.
	LogLevel slog.Level        `yaml:"log_level"` // debug, info, warn, error
	PageSize int               `yaml:"page_size"` // items of a page whose limit the client does not give
	Provider string            `yaml:"provider"`  // of new payments: one of providers
	Webhooks webhooks.Settings `yaml:"webhooks"`  // outgoing ones

	// These are read when the service starts.
	Providers       []string      `yaml:"providers"`        // that can be used: sandbox, stripe. One stays until its last payment is done
	ProviderTimeout time.Duration `yaml:"provider_timeout"` // of one call
	ProviderCalls   int           `yaml:"provider_calls"`   // at once, of one instance
	SandboxDelay    time.Duration `yaml:"sandbox_delay"`    // until the sandbox sends a late webhook
	RequestTimeout  time.Duration `yaml:"request_timeout"`  // for one request that waits for no provider, the database included
	Connections     int32         `yaml:"connections"`      // to PostgreSQL, of one instance
}

// Defaults suit development.
func Defaults() Config {
	return Config{
		LogLevel: slog.LevelInfo, PageSize: 20, Provider: sandbox.Name, Webhooks: webhooks.DefaultSettings(),
		Providers: []string{sandbox.Name}, ProviderTimeout: 3 * time.Second, ProviderCalls: 256, SandboxDelay: 2 * time.Second,
		RequestTimeout: 3 * time.Second, Connections: 10,
	}
}

// Validate returns every problem, one line each.
func (c *Config) Validate() error {
	problems := []error{
		config.Within("log_level", c.LogLevel, slog.LevelDebug, slog.LevelError),
		config.Within("page_size", c.PageSize, 1, app.MaxPage),
		config.Within("provider_timeout", c.ProviderTimeout, 500*time.Millisecond, 30*time.Second),
		config.Within("provider_calls", c.ProviderCalls, 8, 2000),
		config.Within("sandbox_delay", c.SandboxDelay, 10*time.Millisecond, time.Hour),
		config.Within("request_timeout", c.RequestTimeout, 100*time.Millisecond, 30*time.Second),
		config.Within("connections", c.Connections, 4, 50),
		c.Webhooks.Validate(),
	}
	if !slices.Contains(c.Providers, c.Provider) {
		problems = append(problems, fmt.Errorf("provider is %q; it must be one of providers: %q", c.Provider, c.Providers))
	}
	for _, p := range c.Providers {
		if p != sandbox.Name && p != stripe.Name {
			problems = append(problems, fmt.Errorf("providers has %q; known are %s and %s", p, sandbox.Name, stripe.Name))
		}
	}
	return errors.Join(problems...)
}
