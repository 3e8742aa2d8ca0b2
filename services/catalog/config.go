package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"

	"souk/internal/config"
	"souk/services/catalog/app"
	"souk/services/catalog/events"
	"souk/services/catalog/store"
)

// Config is consul-config/kv/<env>/catalog.yaml on top of Defaults. What says so is
// read when the service starts; the rest takes effect at once. It holds no secret.
type Config struct {
	LogLevel slog.Level `yaml:"log_level"` // debug, info, warn or error
	// RequestTimeout bounds a request whatever is slow; read at the start.
	RequestTimeout time.Duration    `yaml:"request_timeout"`
	Pages          PagesConfig      `yaml:"pages"`
	Categories     CategoriesConfig `yaml:"categories"`
	Outbox         OutboxConfig     `yaml:"outbox"`
	Mongo          MongoConfig      `yaml:"mongo"`
}

// PagesConfig is about lists of products.
type PagesConfig struct {
	Default int `yaml:"default"` // products on a page if the client doesn't say
	Max     int `yaml:"max"`     // and at most; the API promises no more than 100
}

// CategoriesConfig is about the tree.
type CategoriesConfig struct {
	// CacheAge is how old the tree may be that a category filter is resolved with, where
	// another instance has changed it.
	CacheAge time.Duration `yaml:"cache_age"`
}

// OutboxConfig is about events that wait to be published.
type OutboxConfig struct {
	PollInterval      time.Duration `yaml:"poll_interval"`       // between looks at an empty outbox
	Batch             int           `yaml:"batch"`               // events published at once
	PendingPerProduct int           `yaml:"pending_per_product"` // then changes of that product are refused
	PendingProducts   int           `yaml:"pending_products"`    // then all changes are refused
}

// MongoConfig is about the database; read at the start. Where it is, Consul says.
type MongoConfig struct {
	Database   string        `yaml:"database"`
	PoolSize   int           `yaml:"pool_size"`  // connections at most
	Timeout    time.Duration `yaml:"timeout"`    // of each call
	Parameters string        `yaml:"parameters"` // of the connection string, such as replicaSet=rs0&tls=true
}

// Defaults suit development and a catalogue of up to a million products.
func Defaults() Config {
	return Config{
		LogLevel:       slog.LevelInfo,
		RequestTimeout: 1800 * time.Millisecond,
		Pages:          PagesConfig{Default: 20, Max: 100},
		Categories:     CategoriesConfig{CacheAge: 2 * time.Second},
		Outbox:         OutboxConfig{PollInterval: 200 * time.Millisecond, Batch: 200, PendingPerProduct: 20, PendingProducts: 10_000},
		Mongo:          MongoConfig{Database: "catalog", PoolSize: 16, Timeout: 1500 * time.Millisecond},
	}
}

// databaseName is what MongoDB takes everywhere.
var databaseName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,63}$`)

// Validate returns every problem, one line each.
func (c *Config) Validate() error {
	problems := []error{
		config.Within("request_timeout", c.RequestTimeout, 100*time.Millisecond, 30*time.Second),
		config.Within("pages.max", c.Pages.Max, 1, 100),
		config.Within("pages.default", c.Pages.Default, 1, min(max(c.Pages.Max, 1), 100)),
		config.Within("categories.cache_age", c.Categories.CacheAge, 0, time.Minute),
		config.Within("outbox.poll_interval", c.Outbox.PollInterval, 10*time.Millisecond, 10*time.Second),
		config.Within("outbox.batch", c.Outbox.Batch, 1, 2000),
		// More would not fit the document beside the largest product.
		config.Within("outbox.pending_per_product", c.Outbox.PendingPerProduct, 1, 20),
		config.Within("outbox.pending_products", c.Outbox.PendingProducts, 1, 1_000_000),
		config.Within("mongo.pool_size", c.Mongo.PoolSize, 1, 200),
		config.Within("mongo.timeout", c.Mongo.Timeout, 50*time.Millisecond, 30*time.Second),
	}
	if c.LogLevel < slog.LevelDebug || c.LogLevel > slog.LevelError {
		problems = append(problems, fmt.Errorf("log_level is %s; it must be debug, info, warn or error", c.LogLevel))
	}
	if !databaseName.MatchString(c.Mongo.Database) {
		problems = append(problems, fmt.Errorf("mongo.database is %q; it must be 1 to 63 letters, digits, hyphens and underscores", c.Mongo.Database))
	}
	if _, err := url.ParseQuery(c.Mongo.Parameters); err != nil || strings.ContainsAny(c.Mongo.Parameters, "@/ ") {
		problems = append(problems, errors.New("mongo.parameters must look like replicaSet=rs0&tls=true, without addresses and credentials"))
	}
	return errors.Join(problems...)
}

func (c *Config) app() app.Settings {
	return app.Settings{
		PageSize: c.Pages.Default, MaxPageSize: c.Pages.Max, TreeAge: c.Categories.CacheAge,
		PendingPerProduct: c.Outbox.PendingPerProduct, PendingProducts: c.Outbox.PendingProducts,
	}
}

func (c *Config) relay() events.Settings {
	return events.Settings{Interval: c.Outbox.PollInterval, Batch: c.Outbox.Batch}
}

// store says how to reach the database at the given addresses.
func (c *Config) store(addresses []string) store.Options {
	uri := url.URL{Scheme: "mongodb", Host: strings.Join(addresses, ","), Path: "/", RawQuery: c.Mongo.Parameters}
	return store.Options{URI: uri.String(), Database: c.Mongo.Database, PoolSize: uint64(c.Mongo.PoolSize), Timeout: c.Mongo.Timeout}
}
