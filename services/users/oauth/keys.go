package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"souk/internal/errs"
	"souk/internal/logs"
	"souk/internal/tokens"
)

const (
	keyName = "souk-tokens"
	// pollKeys is how often Vault is asked for new versions. The publish delay must be well above it.
	pollKeys = 10 * time.Second
	// keyMargin is how long a version is published after its last token has expired: other instances learn of the next
	// version up to a poll later, and clocks differ.
	keyMargin = 5 * time.Minute
)

// version is one version of the key in Vault.
type version struct {
	number  int
	created time.Time
	public  *ecdsa.PublicKey
	kid     string // "<number>.<8 characters of the RFC 7638 thumbprint>"
	jwk     json.RawMessage
}

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
		return fmt.Errorf("Vault has no transit key %s", keyName)
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

func parseVersion(number string, details any) (v version, err error) {
	if v.number, err = strconv.Atoi(number); err != nil {
		return v, err
	}
	d, _ := details.(map[string]any)
	created, _ := d["creation_time"].(string)
	if v.created, err = time.Parse(time.RFC3339Nano, created); err != nil {
		return v, err
	}
	text, _ := d["public_key"].(string)
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return v, errors.New("it has no public key")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return v, err
	}
	public, ok := key.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return v, errors.New("it is not on P-256")
	}
	v.public = public
	return v, v.describe()
}

// describe makes the JWK (RFC 7517) and the kid.
func (v *version) describe() error {
	raw, err := v.public.Bytes() // 4, X, Y
	if err != nil {
		return err
	}
	x, y := base64.RawURLEncoding.EncodeToString(raw[1:33]), base64.RawURLEncoding.EncodeToString(raw[33:])
	thumbprint := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, x, y)) // RFC 7638, section 3
	v.kid = fmt.Sprintf("%d.%s", v.number, base64.RawURLEncoding.EncodeToString(thumbprint[:])[:8])
	v.jwk = fmt.Appendf(nil, `{"kty":"EC","crv":"P-256","x":%q,"y":%q,"kid":%q,"use":"sig","alg":"ES256"}`, x, y, v.kid)
	return nil
}

// signsFrom is when a version begins to sign. Every instance comes to the same answer. The first has nobody to wait for.
func signsFrom(versions []version, i int, delay time.Duration) time.Time {
	if i == 0 {
		return versions[0].created
	}
	return versions[i].created.Add(delay)
}

// signing is the version that signs now.
func signing(versions []version, delay time.Duration, now time.Time) version {
	for i := len(versions) - 1; i > 0; i-- {
		if !now.Before(signsFrom(versions, i, delay)) {
			return versions[i]
		}
	}
	return versions[0]
}

// published are the versions that somebody may meet a token of.
func published(versions []version, delay time.Duration, now time.Time) []version {
	var still []version
	for i, v := range versions {
		if i == len(versions)-1 || now.Before(signsFrom(versions, i+1, delay).Add(tokens.Life+keyMargin)) {
			still = append(still, v)
		}
	}
	return still
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
