// Package webhooks tells other people's systems what happens to orders and payments: events are turned into deliveries,
// which are signed as Standard Webhooks (https://www.standardwebhooks.com) says and sent until the receiver has them.
//
// A delivery arrives at least once, under the same webhook-id each time, and in no particular order.
package webhooks

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"souk/internal/config"
)

// Settings are the part "webhooks" of the service's configuration.
type Settings struct {
	// These take effect at once.
	AllowHTTP    bool          `yaml:"allow_http"`    // for development: receivers without TLS
	Timeout      time.Duration `yaml:"timeout"`       // that a receiver may take
	DisableAfter time.Duration `yaml:"disable_after"` // an endpoint where nothing has worked for so long; longer than all retries take
	MaxPending   int           `yaml:"max_pending"`   // deliveries that may wait for one endpoint before it is disabled
	Keep         time.Duration `yaml:"keep"`          // what is finished, for the log and for redelivery

	// These are read when the service starts.
	Networks []string `yaml:"networks"` // CIDR blocks that may be called although they are not public, such as 127.0.0.0/8
	Workers  int      `yaml:"workers"`  // deliveries at once, of one instance
}

// DefaultSettings suit production.
func DefaultSettings() Settings {
	return Settings{
		Timeout: 10 * time.Second, DisableAfter: 5 * 24 * time.Hour, MaxPending: 100_000, Keep: 7 * 24 * time.Hour, Workers: 16,
	}
}

// Validate returns every problem, one line each.
func (s Settings) Validate() error {
	_, err := s.prefixes()
	return errors.Join(
		config.Within("webhooks.timeout", s.Timeout, 100*time.Millisecond, 30*time.Second),
		config.Within("webhooks.disable_after", s.DisableAfter, time.Minute, 90*24*time.Hour),
		config.Within("webhooks.max_pending", s.MaxPending, 100, 10_000_000),
		config.Within("webhooks.keep", s.Keep, time.Hour, 90*24*time.Hour),
		config.Within("webhooks.workers", s.Workers, 1, 256),
		err,
	)
}

func (s Settings) prefixes() (all []netip.Prefix, err error) {
	for _, text := range s.Networks {
		p, problem := netip.ParsePrefix(text)
		if problem != nil {
			err = errors.Join(err, fmt.Errorf("webhooks.networks: %q is no CIDR block such as 10.1.0.0/16", text))
			continue
		}
		all = append(all, p.Masked())
	}
	return all, err
}
