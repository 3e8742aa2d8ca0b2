package main

import (
	"errors"
	"log/slog"
	"time"

	"souk/cmd/souk/scaffold/app"
	"souk/internal/config"
)

// Config is consul-config/kv/<env>/probe.yaml on top of Defaults. It holds no secret.
type Config struct {
	// These take effect at once.
	LogLevel slog.Level `yaml:"log_level"` // debug, info, warn, error
	PageSize int        `yaml:"page_size"` // items of a page whose limit the client does not give

	// These are read when the service starts.
	RequestTimeout time.Duration `yaml:"request_timeout"` // for one request, the database included
	Connections    int32         `yaml:"connections"`     // to PostgreSQL, of one instance
}

// Defaults suit development.
func Defaults() Config {
	return Config{LogLevel: slog.LevelInfo, PageSize: 20, RequestTimeout: 3 * time.Second, Connections: 10}
}

// Validate returns every problem, one line each.
func (c *Config) Validate() error {
	return errors.Join(
		config.Within("log_level", c.LogLevel, slog.LevelDebug, slog.LevelError),
		config.Within("page_size", c.PageSize, 1, app.MaxPage),
		config.Within("request_timeout", c.RequestTimeout, 100*time.Millisecond, 30*time.Second),
		config.Within("connections", c.Connections, 2, 50),
	)
}
