package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"souk/internal/config"
	"souk/services/inventory/app"
)

// Config is consul-config/kv/<env>/inventory.yaml on top of Defaults. It holds no secret.
type Config struct {
	// These take effect at once.
	LogLevel slog.Level `yaml:"log_level"` // debug, info, warn, error
	PageSize int        `yaml:"page_size"` // entries of a page whose limit the client does not give
	// Locations where stock can be, those first from which it is taken first. Stock at one that is taken out of the list is
	// used up last.
	Locations []string `yaml:"locations"`
	// ExpiryInterval is how often each instance looks for reservations whose time is over.
	ExpiryInterval time.Duration `yaml:"expiry_interval"`

	// These are read when the service starts.
	RequestTimeout time.Duration `yaml:"request_timeout"` // for one request, the database included
	Connections    int32         `yaml:"connections"`     // to PostgreSQL, of one instance
	Batch          int           `yaml:"batch"`           // commands that take effect in one transaction, at most
}

// Defaults suit development.
func Defaults() Config {
	return Config{
		LogLevel: slog.LevelInfo, PageSize: 20, Locations: []string{app.MainLocation}, ExpiryInterval: time.Second,
		RequestTimeout: 3 * time.Second, Connections: 10, Batch: 100,
	}
}

// maxLocations keeps the list readable.
const maxLocations = 100

// Validate returns every problem, one line each.
func (c *Config) Validate() error {
	problems := []error{
		config.Within("log_level", c.LogLevel, slog.LevelDebug, slog.LevelError),
		config.Within("page_size", c.PageSize, 1, app.MaxPage),
		config.Within("locations: their number", len(c.Locations), 1, maxLocations),
		config.Within("expiry_interval", c.ExpiryInterval, 100*time.Millisecond, time.Minute),
		config.Within("request_timeout", c.RequestTimeout, 100*time.Millisecond, 30*time.Second),
		// One for each partition that is consumed, besides what leads, lets expire and answers requests.
		config.Within("connections", c.Connections, 4, 50),
		config.Within("batch", c.Batch, 1, 1000),
	}
	for i, name := range c.Locations {
		if !app.ValidLocation(name) || slices.Contains(c.Locations[:i], name) {
			problems = append(problems, fmt.Errorf("locations[%d] is %q; it must be %s, and named once", i, name, app.LocationRule))
		}
	}
	return errors.Join(problems...)
}
