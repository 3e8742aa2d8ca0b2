package oauth

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"souk/internal/errs"
	"souk/internal/logs"
)

const (
	keyName = "souk-tokens"
	// pollKeys is how often Vault is asked for new versions. The publish delay must be well above it.
	pollKeys = 10 * time.Second
)

// Keys knows the versions of the signing key, which never leaves Vault, and signs with it. Without Vault the keys stay
// published as they are, and nothing can be signed.
type Keys struct {
	vault    *vaultapi.Client
	delay    func() time.Duration
	log      *slog.Logger
	versions atomic.Pointer[[]version] // by number; nil: never read
}

// NewKeys reads the versions and follows them until ctx ends. delay is for how long a new version is published before
// anything is signed with it. That Vault can't be asked yet is no error: see JWKS and Sign.
func NewKeys(ctx context.Context, vault *vaultapi.Client, delay func() time.Duration, log *slog.Logger) *Keys {
	k := &Keys{vault: vault, delay: delay, log: log}
	first, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	err := k.read(first)
	if err != nil {
		log.Warn("the signing keys can't be read yet", logs.Err(err))
	}
	go k.follow(ctx, err != nil)
	return k
}

func (k *Keys) follow(ctx context.Context, failing bool) {
	for {
		wait := pollKeys
		if k.versions.Load() == nil {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		err := k.read(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			k.log.Warn("the signing keys can't be read; those known stay published", logs.Err(err))
		case err == nil && failing:
			k.log.Info("the signing keys can be read again")
		}
		failing = err != nil
	}
}

// read asks Vault for the versions.
func (k *Keys) read(ctx context.Context) error {
	secret, err := k.vault.Logical().ReadWithContext(ctx, "transit/keys/"+keyName)
	if err != nil {
		return fmt.Errorf("read transit/keys/%s: %w", keyName, err)
	}
	if secret == nil {
		return fmt.Errorf("there is no transit key %s in Vault", keyName)
	}
	listed, _ := secret.Data["keys"].(map[string]any)
	versions := make([]version, 0, len(listed))
	for number, details := range listed {
		v, err := parseVersion(number, details)
		if err != nil {
			return fmt.Errorf("version %s of transit key %s: %w", number, keyName, err)
		}
		versions = append(versions, v)
	}
	if len(versions) == 0 {
		return fmt.Errorf("transit key %s has no version", keyName)
	}
	slices.SortFunc(versions, func(a, b version) int { return a.number - b.number })
	if had := k.versions.Swap(&versions); had == nil || (*had)[len(*had)-1].kid != versions[len(versions)-1].kid {
		last := versions[len(versions)-1]
		k.log.Info("signing key", "kid", last.kid, "signs_from", signsFrom(versions, len(versions)-1, k.delay()))
	}
	return nil
}

func (k *Keys) known() ([]version, error) {
	if v := k.versions.Load(); v != nil {
		return *v, nil
	}
	return nil, errs.New(errs.Unavailable, "keys-unavailable", "the signing keys are not known yet; try again").After(time.Second)
}

// JWKS is the JSON Web Key Set (RFC 7517, section 5) that verifiers need.
func (k *Keys) JWKS(context.Context) ([]byte, error) {
	versions, err := k.known()
	if err != nil {
		return nil, err
	}
	set := struct {
		Keys []json.RawMessage `json:"keys"`
	}{}
	for _, v := range published(versions, k.delay(), time.Now()) {
		set.Keys = append(set.Keys, v.jwk)
	}
	return json.Marshal(set)
}

// public is the key that a token of ours may be signed with.
func (k *Keys) public(kid string) (*ecdsa.PublicKey, error) {
	versions, err := k.known()
	if err != nil {
		return nil, err
	}
	for _, v := range published(versions, k.delay(), time.Now()) {
		if v.kid == kid {
			return v.public, nil
		}
	}
	return nil, errors.New("there is no such key")
}
