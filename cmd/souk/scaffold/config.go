package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"souk/cmd/souk/scaffold/app"
)

// Config is what consul-config/kv/<env>/probe.yaml can set.
type Config struct {
	// These change while the service runs.
	LogLevel slog.Level `yaml:"log_level"` // debug, info, warn, error
	PageSize int        `yaml:"page_size"` // items of a page whose limit the client does not give

	// These are read at its start.
	RequestTimeout time.Duration `yaml:"request_timeout"` // for one request, the database included
	Connections    int32         `yaml:"connections"`     // to PostgreSQL, of one instance
}

// Defaults hold where the document says nothing.
func Defaults() Config {
	return Config{LogLevel: slog.LevelInfo, PageSize: 20, RequestTimeout: 5 * time.Second, Connections: 10}
}

// Validate returns every problem with its setting, the value it has and the values it may have.
func (c *Config) Validate() error {
	return errors.Join(
		within("page_size", c.PageSize, 1, app.MaxPage),
		within("request_timeout", c.RequestTimeout, 100*time.Millisecond, 30*time.Second),
		within("connections", c.Connections, 2, 50),
	)
}

func within[T cmp.Ordered](setting string, value, low, high T) error {
	if value < low || value > high {
		return fmt.Errorf("%s is %v, but may be %v to %v", setting, value, low, high)
	}
	return nil
}
