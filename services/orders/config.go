package main

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"souk/internal/config"
	"souk/internal/money"
	"souk/services/orders/app"
)

// Config is consul-config/kv/<env>/orders.yaml on top of Defaults. It holds no secret.
type Config struct {
	// These take effect at once.
	LogLevel  slog.Level `yaml:"log_level"` // debug, info, warn, error
	PageSize  int        `yaml:"page_size"` // items of a page whose limit the client does not give
	Carts     Carts      `yaml:"carts"`
	Deadlines Deadlines  `yaml:"deadlines"`

	// These are read when the service starts.
	RequestTimeout time.Duration `yaml:"request_timeout"` // for one request, the database and the catalogue included
	Connections    int32         `yaml:"connections"`     // to PostgreSQL, of one instance
	Batch          int           `yaml:"batch"`           // replies of inventory and payments that are taken in at once, at most
}

// Carts says how carts are kept.
type Carts struct {
	Keep     time.Duration `yaml:"keep"`     // after the last change
	Currency string        `yaml:"currency"` // of an empty cart whose currency nobody has said
}

// Deadlines say how long the checkout saga waits.
type Deadlines struct {
	Stock       time.Duration `yaml:"stock"`       // for inventory to reserve; then the order fails
	Payment     time.Duration `yaml:"payment"`     // for payments to authorise; then the order fails
	Again       time.Duration `yaml:"again"`       // for other answers; then the command is sent again
	Reservation time.Duration `yaml:"reservation"` // how long inventory holds stock that is not sold
	Look        time.Duration `yaml:"look"`        // how often deadlines are looked at
}

func (d Deadlines) app() app.Deadlines {
	return app.Deadlines{Stock: d.Stock, Payment: d.Payment, Again: d.Again, Reservation: d.Reservation}
}

// Defaults suit development.
func Defaults() Config {
	d, carts := app.DefaultDeadlines(), app.DefaultCartSettings()
	return Config{
		LogLevel: slog.LevelInfo, PageSize: 20, RequestTimeout: 5 * time.Second, Connections: 16, Batch: 100,
		Carts:     Carts{Keep: carts.Keep, Currency: carts.Currency},
		Deadlines: Deadlines{Stock: d.Stock, Payment: d.Payment, Again: d.Again, Reservation: d.Reservation, Look: time.Second},
	}
}

// Validate returns every problem, one line each.
func (c *Config) Validate() error {
	return errors.Join(
		config.Within("log_level", c.LogLevel, slog.LevelDebug, slog.LevelError),
		config.Within("page_size", c.PageSize, 1, app.MaxPage),
		config.Within("carts.keep", c.Carts.Keep, time.Hour, 365*24*time.Hour),
		validCurrency(c.Carts.Currency),
		config.Within("deadlines.stock", c.Deadlines.Stock, time.Second, 5*time.Minute),
		config.Within("deadlines.payment", c.Deadlines.Payment, time.Second, 10*time.Minute),
		config.Within("deadlines.again", c.Deadlines.Again, time.Second, 5*time.Minute),
		// It must outlast the time until the stock is sold, with some retries.
		config.Within("deadlines.reservation", c.Deadlines.Reservation, c.Deadlines.Payment+c.Deadlines.Again, 24*time.Hour),
		config.Within("deadlines.look", c.Deadlines.Look, 100*time.Millisecond, 30*time.Second),
		config.Within("request_timeout", c.RequestTimeout, 100*time.Millisecond, 30*time.Second),
		config.Within("connections", c.Connections, 6, 50),
		config.Within("batch", c.Batch, 1, 1000),
	)
}

func validCurrency(code string) error {
	if err := money.ValidCurrency(code); err != nil {
		return fmt.Errorf("carts.currency: %w", err)
	}
	return nil
}
