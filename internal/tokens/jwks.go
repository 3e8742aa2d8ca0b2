package tokens

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
)

// jwk is a public key as RFC 7517 and RFC 7518, section 6.2, write it. Other members are
// overlooked.
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	ID        string `json:"kid"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

// maxKeys bounds a set. A rotation adds one for some minutes.
const maxKeys = 64

// parseJWKS returns the keys that may sign access tokens, by kid. A set has keys for other
// uses too; the error is for one without a single good key.
func parseJWKS(raw []byte) (map[string]jwk, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if len(raw) > maxJWKS {
		return nil, errors.New("the key set is too large")
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("the key set can't be read: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys", len(set.Keys))
	}
	keys := map[string]jwk{}
	var bad error
	for _, k := range set.Keys {
		if k.Type != "EC" || k.Curve != "P-256" || k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != "ES256" || !validKid(k.ID) {
			continue
		}
		if _, err := k.public(); err != nil {
			bad = errors.Join(bad, fmt.Errorf("key %s: %w", k.ID, err))
			continue
		}
		if _, twice := keys[k.ID]; twice {
			return nil, fmt.Errorf("the key set has %s twice", k.ID)
		}
		keys[k.ID] = k
	}
	if len(keys) == 0 {
		return nil, errors.Join(errors.New("the key set has no key for ES256"), bad)
	}
	return keys, nil
}

// public is the key as a point that is known to lie on the curve.
func (k jwk) public() (*ecdsa.PublicKey, error) {
	point := make([]byte, 0, 65)
	point = append(point, 4) // uncompressed: SEC 1, section 2.3.3
	for _, coordinate := range []string{k.X, k.Y} {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(coordinate)
		if err != nil || len(raw) != 32 {
			return nil, errors.New("a coordinate is not 32 bytes in base64url")
		}
		point = append(point, raw...)
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}
