package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/ory/fosite"
)

// Prefixes tell people and scanners what a secret that turned up somewhere is.
const (
	refreshPrefix = "srt_"
	codePrefix    = "sac_"
	loginPrefix   = "sbl_"
)

// newSecret makes a secret of 256 bits, and the hash that is kept of it.
func newSecret(prefix string) (secret string, hash []byte) {
	b := make([]byte, 32)
	rand.Read(b) //nolint:errcheck // it never fails: the process ends if there is no entropy
	secret = prefix + base64.RawURLEncoding.EncodeToString(b)
	return secret, hashOf(secret)
}

func hashOf(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// sha256Hasher compares clients' secrets, which are random and long: a slow hash would only slow us down.
type sha256Hasher struct{}

var errWrongSecret = errors.New("the client's secret is another one")

// Compare implements fosite.Hasher in constant time.
func (sha256Hasher) Compare(_ context.Context, hash, secret []byte) error {
	h := sha256.Sum256(secret)
	if len(hash) != len(h) || subtle.ConstantTimeCompare(hash, h[:]) != 1 {
		return errWrongSecret
	}
	return nil
}

// Hash implements fosite.Hasher.
func (sha256Hasher) Hash(_ context.Context, secret []byte) ([]byte, error) {
	h := sha256.Sum256(secret)
	return h[:], nil
}

// clients implements fosite's Storage.
type clients struct{ s *Server }

// GetClient implements fosite.ClientManager.
func (c clients) GetClient(_ context.Context, id string) (fosite.Client, error) {
	client, ok := c.s.client(id)
	if !ok {
		return nil, fosite.ErrNotFound
	}
	return c.s.registered(client), nil
}

var errNoAssertions = errors.New("clients don't authenticate by assertion here")

// ClientAssertionJWTValid implements fosite.ClientManager; it is for a way of authentication that no client has.
func (clients) ClientAssertionJWTValid(context.Context, string) error { return errNoAssertions }

// SetClientAssertionJWT implements fosite.ClientManager likewise.
func (clients) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return errNoAssertions
}
