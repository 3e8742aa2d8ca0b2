// Package tokenstest issues access tokens with a key of its own, for tests of what verifies
// them.
package tokenstest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"souk/internal/tokens"
)

// URL is the iss of every Issuer's tokens.
const URL = "https://shop.example"

// Issuer stands for the users service: it signs tokens, publishes keys and revokes. It is a
// tokens.Source.
type Issuer struct {
	t        testing.TB
	verifier func() *tokens.Verifier

	mu      sync.Mutex
	away    error
	keys    []signingKey // the last one signs
	revoked []tokens.Revocation
	news    chan struct{} // closed when there is a revocation
}

type signingKey struct {
	kid     string
	private *ecdsa.PrivateKey
}

// New makes an issuer with one key.
func New(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{t: t, news: make(chan struct{})}
	i.Rotate()
	i.verifier = sync.OnceValue(func() *tokens.Verifier {
		v, err := tokens.Open(t.Context(), tokens.Options{Issuer: URL, Source: i, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return v
	})
	return i
}

// Verifier accepts the issuer's tokens; it is always the same, and works until the test ends.
func (i *Issuer) Verifier() *tokens.Verifier { return i.verifier() }

// KeepIn leaves the keys in a program's StateDir, as if it had run before: it then accepts
// the issuer's tokens although it finds no users service.
func (i *Issuer) KeepIn(dir string) {
	i.t.Helper()
	ctx, stop := context.WithCancel(i.t.Context())
	defer stop()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		i.t.Fatal(err)
	}
	v, err := tokens.Open(ctx, tokens.Options{Issuer: URL, Source: i, StateDir: dir})
	if err != nil {
		i.t.Fatal(err)
	}
	if _, err := v.Verify(ctx, i.User()); err != nil { // waits for the keys
		i.t.Fatal(err)
	}
}

// ScopesOf are the scopes that a user with these roles may have.
func ScopesOf(roles ...string) []string {
	customer := []string{"account", "orders"}
	of := map[string][]string{
		"customer":     customer,
		"support":      append(slices.Clone(customer), "users:read", "orders:read"),
		"merchandiser": append(slices.Clone(customer), "catalog:write", "inventory:read", "inventory:write"),
		"admin": append(slices.Clone(customer), "users:read", "orders:read", "catalog:write", "inventory:read", "inventory:write",
			"users:write", "users:roles", "orders:write", "payments:write"),
	}
	var scopes []string
	for _, role := range roles {
		scopes = append(scopes, of[role]...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// Claims are those of a new user, a customer if no role is named: to be changed, and signed.
func (i *Issuer) Claims(roles ...string) map[string]any {
	if len(roles) == 0 {
		roles = []string{"customer"}
	}
	claims := i.common(uuid.NewString(), "souk", ScopesOf(roles...))
	maps.Copy(claims, map[string]any{"sid": uuid.NewString(), "roles": roles, "auth_time": time.Now().Unix()})
	return claims
}

// User is the token of a new user, a customer if no role is named.
func (i *Issuer) User(roles ...string) string { return i.Sign(i.Claims(roles...)) }

// Scoped is the token of a new customer that allows just these scopes.
func (i *Issuer) Scoped(scopes ...string) string {
	claims := i.Claims()
	claims["scope"] = strings.Join(scopes, " ")
	return i.Sign(claims)
}

// Client is a service token.
func (i *Issuer) Client(id string, scopes ...string) string {
	return i.Sign(i.common(id, id, scopes))
}

// Expired is a token that was good a minute ago.
func (i *Issuer) Expired(roles ...string) string {
	claims := i.Claims(roles...)
	past := time.Now().Add(-time.Minute)
	claims["exp"], claims["iat"], claims["nbf"] = past.Unix(), past.Add(-tokens.Life).Unix(), past.Add(-tokens.Life).Unix()
	return i.Sign(claims)
}

// WrongAudience is a token for another API of the same issuer.
func (i *Issuer) WrongAudience(roles ...string) string {
	claims := i.Claims(roles...)
	claims["aud"] = []string{"elsewhere"}
	return i.Sign(claims)
}

func (i *Issuer) common(subject, client string, scopes []string) map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": URL, "sub": subject, "aud": []string{tokens.Audience}, "client_id": client, "jti": uuid.NewString(), "scope": strings.Join(scopes, " "),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(tokens.Life).Unix(),
	}
}

// Sign makes a token of the claims, as users does.
func (i *Issuer) Sign(claims map[string]any) string {
	i.t.Helper()
	i.mu.Lock()
	key := i.keys[len(i.keys)-1]
	i.mu.Unlock()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims(claims))
	token.Header = map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": key.kid}
	signed, err := token.SignedString(key.private)
	if err != nil {
		i.t.Fatal(err)
	}
	return signed
}

// Key is the one that signs now, and its kid.
func (i *Issuer) Key() (kid string, private *ecdsa.PrivateKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := i.keys[len(i.keys)-1]
	return key.kid, key.private
}

// Rotate signs with a new key from now on, and publishes it beside the old ones.
func (i *Issuer) Rotate() {
	i.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, signingKey{strconv.Itoa(len(i.keys)+1) + "." + uuid.NewString()[:8], private})
}

// Withdraw publishes no key any more but the one that signs.
func (i *Issuer) Withdraw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = i.keys[len(i.keys)-1:]
}

// Away makes every question fail with err; nil ends that.
func (i *Issuer) Away(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = err
	i.tell()
}

// Revoke tells every verifier. An Expires of zero is one token life from now.
func (i *Issuer) Revoke(r tokens.Revocation) {
	if r.Expires.IsZero() {
		r.Expires = time.Now().Add(tokens.Life)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.revoked = append(i.revoked, r)
	i.tell()
}

func (i *Issuer) tell() {
	close(i.news)
	i.news = make(chan struct{})
}

// JWKS implements tokens.Source.
func (i *Issuer) JWKS(context.Context) ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.away != nil {
		return nil, i.away
	}
	keys := []map[string]string{}
	for _, k := range i.keys {
		point, err := k.private.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		keys = append(keys, map[string]string{
			"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": k.kid,
			"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
		})
	}
	return json.Marshal(map[string]any{"keys": keys})
}

// Revocations implements tokens.Source.
func (i *Issuer) Revocations(ctx context.Context, after string) (tokens.Feed, error) {
	from, _ := strconv.Atoi(after)
	wait := time.NewTimer(20 * time.Second)
	defer wait.Stop()
	for {
		i.mu.Lock()
		away, news, revoked := i.away, i.news, i.revoked
		i.mu.Unlock()
		if away != nil {
			return tokens.Feed{}, away
		}
		feed := tokens.Feed{Cursor: strconv.Itoa(len(revoked)), Revocations: revoked[min(from, len(revoked)):]}
		if after == "" || len(feed.Revocations) > 0 {
			return feed, nil
		}
		select {
		case <-news:
		case <-wait.C:
			return feed, nil
		case <-ctx.Done():
			return tokens.Feed{}, ctx.Err()
		}
	}
}
