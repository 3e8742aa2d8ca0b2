// Package tokens verifies access tokens (RFC 9068) that the users service issues. Keys and
// revocations are followed in the background and kept on disk, so that tokens are told good
// from bad while users, or the Vault behind it, is away.
package tokens

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// Audience is the aud of every access token for Souk's APIs.
	Audience = "souk"
	// Life is how long an access token lives at most; one that claims more is refused, since
	// revocations and withdrawn keys are remembered for so long only.
	Life = 10 * time.Minute
	// Leeway is how far the clocks of issuer and verifier may be apart.
	Leeway = 5 * time.Second
	// maxToken bounds what is looked at, in bytes. Souk's tokens have about 800.
	maxToken = 4 << 10
)

// Options say whose tokens are accepted and where keys come from.
type Options struct {
	Issuer   string // iss, exactly: SOUK_ISSUER
	Audience string // aud; Audience if empty
	Source   Source
	// StateDir keeps keys and revocations for a start without users. It exists and belongs to
	// this program; empty keeps nothing.
	StateDir string
	// CacheSize is how many verified tokens are remembered: 8192 if zero, at about 1 KiB each.
	CacheSize int
	Log       *slog.Logger
	Metrics   prometheus.Registerer // nil: none
}

func (o Options) complete() (Options, error) {
	if err := CheckIssuer(o.Issuer); err != nil {
		return o, err
	}
	if o.Source == nil {
		return o, errors.New("tokens: there is no Source of keys")
	}
	if o.Audience == "" {
		o.Audience = Audience
	}
	if o.CacheSize <= 0 {
		o.CacheSize = 8192
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("component", "tokens")
	return o, nil
}

// issuerVariable is set by every Nomad job that verifies or issues tokens.
const issuerVariable = "SOUK_ISSUER"

// IssuerFromEnv is the public URL of the gateway, which stands as iss in every token.
func IssuerFromEnv() (string, error) {
	issuer := os.Getenv(issuerVariable)
	if issuer == "" {
		return "", fmt.Errorf("%s is not set: give the Nomad job the gateway's public URL, such as https://shop.example", issuerVariable)
	}
	if err := CheckIssuer(issuer); err != nil {
		return "", fmt.Errorf("%s: %w", issuerVariable, err)
	}
	return issuer, nil
}

// CheckIssuer refuses what can't be an issuer (RFC 8414, section 2) or could be written in
// two ways. Plain http is for development.
func CheckIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host+u.Path != issuer ||
		strings.HasSuffix(issuer, "/") || issuer != strings.ToLower(issuer) {
		return fmt.Errorf("%q is no issuer; write https://host or https://host:port, in lower case, without a slash at the end", issuer)
	}
	return nil
}
