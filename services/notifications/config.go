package main

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"souk/internal/config"
	"souk/services/notifications/app"
	"souk/services/notifications/mail"
)

// Config is consul-config/kv/<env>/notifications.yaml on top of Defaults. It holds no secret: the SMTP server's
// credentials are in Vault.
type Config struct {
	// These take effect at once.
	LogLevel slog.Level  `yaml:"log_level"` // debug, info, warn, error
	SMTP     SMTPConfig  `yaml:"smtp"`
	Retry    RetryConfig `yaml:"retry"`
	Keep     KeepConfig  `yaml:"keep"`
	// PollInterval is how soon a mail is seen that an event asks for.
	PollInterval time.Duration `yaml:"poll_interval"`

	// These are read when the service starts.
	Senders     int   `yaml:"senders"`     // mails that one instance sends at a time
	Connections int32 `yaml:"connections"` // to PostgreSQL, of one instance
}

// SMTPConfig is the way out.
type SMTPConfig struct {
	Host string   `yaml:"host"` // empty: mails become files in SOUK_MAIL_DIR
	Port int      `yaml:"port"`
	TLS  mail.TLS `yaml:"tls"`  // mandatory, opportunistic, implicit, none
	From string   `yaml:"from"` // Souk <no-reply@souk.example>
	// Timeout of connecting and of each command; ReplyTimeout of the server's word that it has a mail. A short one
	// makes mails that are sent twice (RFC 5321, section 4.5.3.2.6).
	Timeout      time.Duration `yaml:"timeout"`
	ReplyTimeout time.Duration `yaml:"reply_timeout"`
}

// RetryConfig is about mails that the server does not take now.
type RetryConfig struct {
	First   time.Duration `yaml:"first"`   // wait before the second attempt; twice as long before each further one
	Longest time.Duration `yaml:"longest"` // wait between two attempts
	GiveUp  time.Duration `yaml:"give_up"` // after the first attempt that failed
}

// KeepConfig is about what is left of mails.
type KeepConfig struct {
	Log   time.Duration `yaml:"log"`   // what became of them: ids, kinds and times
	Files time.Duration `yaml:"files"` // the mails themselves, where there is no SMTP server
}

// Defaults suit development.
func Defaults() Config {
	return Config{
		LogLevel: slog.LevelInfo,
		SMTP: SMTPConfig{
			Port: 587, TLS: mail.Mandatory, From: "Souk <no-reply@souk.example>", Timeout: 30 * time.Second, ReplyTimeout: 10 * time.Minute,
		},
		Retry:        RetryConfig{First: 10 * time.Second, Longest: 30 * time.Minute, GiveUp: 24 * time.Hour},
		Keep:         KeepConfig{Log: 90 * 24 * time.Hour, Files: 7 * 24 * time.Hour},
		PollInterval: 250 * time.Millisecond,
		Senders:      2,
		Connections:  8,
	}
}

// hostName is a domain or an IPv4 address.
var hostName = regexp.MustCompile(`^$|^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

// Validate returns every problem, one line each.
func (c *Config) Validate() error {
	problems := []error{
		config.Within("log_level", c.LogLevel, slog.LevelDebug, slog.LevelError),
		config.Within("smtp.port", c.SMTP.Port, 1, 65535),
		config.Within("smtp.timeout", c.SMTP.Timeout, time.Second, 5*time.Minute),
		config.Within("smtp.reply_timeout", c.SMTP.ReplyTimeout, time.Second, 30*time.Minute),
		config.Within("retry.first", c.Retry.First, 100*time.Millisecond, time.Hour),
		config.Within("retry.longest", c.Retry.Longest, c.Retry.First, 6*time.Hour),
		config.Within("retry.give_up", c.Retry.GiveUp, time.Minute, 7*24*time.Hour),
		// The inbox knows an event for 30 days; a log that is kept as long knows a mail as long.
		config.Within("keep.log", c.Keep.Log, 24*time.Hour, 10*365*24*time.Hour),
		config.Within("keep.files", c.Keep.Files, time.Hour, 90*24*time.Hour),
		config.Within("poll_interval", c.PollInterval, 10*time.Millisecond, time.Minute),
		config.Within("senders", c.Senders, 1, 50),
		// Each sender may use one, and so may each partition that is consumed, besides what leads and looks.
		config.Within("connections", c.Connections, 4, 100),
	}
	if !hostName.MatchString(c.SMTP.Host) {
		problems = append(problems, fmt.Errorf("smtp.host is %q; it must be a host name, or empty to write files", c.SMTP.Host))
	}
	if kinds := []mail.TLS{mail.Mandatory, mail.Opportunistic, mail.Implicit, mail.None}; !slices.Contains(kinds, c.SMTP.TLS) {
		problems = append(problems, fmt.Errorf("smtp.tls is %q; it must be mandatory, opportunistic, implicit or none", c.SMTP.TLS))
	}
	if _, err := mail.ParseFrom(c.SMTP.From); err != nil {
		problems = append(problems, fmt.Errorf("smtp.from is wrong: %w", err))
	}
	return errors.Join(problems...)
}

func (c *Config) sender() app.Settings {
	return app.Settings{Poll: c.PollInterval, First: c.Retry.First, Longest: c.Retry.Longest, GiveUp: c.Retry.GiveUp}
}

// mail gives the way out; From is valid, as Validate has seen it.
func (c *Config) mail() mail.Settings {
	from, _ := mail.ParseFrom(c.SMTP.From)
	return mail.Settings{Host: c.SMTP.Host, Port: c.SMTP.Port, TLS: c.SMTP.TLS, From: from, Timeout: c.SMTP.Timeout, ReplyTimeout: c.SMTP.ReplyTimeout}
}
