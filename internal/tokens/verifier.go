package tokens

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"time"
	"unsafe"

	"github.com/golang-jwt/jwt/v5"

	"souk/internal/errs"
)

// Verifier tells good access tokens from bad ones. Its methods may be called from anywhere.
type Verifier struct {
	log      *slog.Logger
	opened   time.Time
	parser   *jwt.Parser
	keys     *keys
	revoked  *revoked
	follower *follower
	cache    *cache
	metrics  *tokenMetrics
	refusals map[reason]*errs.Error
}

// Open follows keys and revocations until ctx ends, after which it still verifies with what
// it has. It does not wait for users: see Ready. The error is for options that can't work.
func Open(ctx context.Context, opts Options) (*Verifier, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	v := &Verifier{
		log: opts.Log, opened: time.Now(), revoked: &revoked{entries: map[about]Revocation{}}, refusals: newRefusals(),
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}), jwt.WithStrictDecoding(), jwt.WithLeeway(Leeway),
			jwt.WithIssuer(opts.Issuer), jwt.WithAudience(opts.Audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		),
	}
	if v.cache, err = newCache(opts.CacheSize); err != nil {
		return nil, err
	}
	v.metrics = newMetrics()
	v.keys = newKeys(ctx, opts, v.metrics.fetched("keys"))
	v.follower = newFollower(opts, v.revoked, v.metrics.fetched("revocations"))
	v.metrics.register(opts.Metrics, v)
	go v.keys.follow(v.keys.refresh()) // begun before the first token comes, which then waits for it
	go v.follower.run(ctx)
	return v, nil
}

// Verify returns whom the token speaks for, or an *errs.Error: Unauthenticated with the code
// invalid-token, token-expired or token-revoked, or Unavailable with keys-unavailable if
// that can't be told at the moment. It keeps no part of token.
func (v *Verifier) Verify(ctx context.Context, token string) (*Principal, error) {
	return v.verify(func() context.Context { return ctx }, token)
}

// verify asks for a context only if it may have to wait.
func (v *Verifier) verify(ctx func() context.Context, token string) (*Principal, error) {
	if len(token) > maxToken { // before anything is done with it
		return nil, v.refuse(&refused{badShape, "it is too long"})
	}
	d := sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token))) // no copy
	p := v.cache.get(&d)
	if p == nil {
		var err error
		if p, err = v.parse(ctx(), token); err != nil {
			return nil, v.refuse(err)
		}
		v.cache.put(&d, p)
		v.metrics.unseen.Inc()
	} else {
		v.metrics.seen.Inc()
	}
	// What changes while a token is remembered is asked each time.
	if !time.Now().Before(p.Expires.Add(Leeway)) {
		v.cache.drop(&d)
		return nil, v.refuse(&refused{isExpired, ""})
	}
	if v.revoked.covers(p) {
		return nil, v.refuse(&refused{isRevoked, ""})
	}
	return p, nil
}

// parse is the whole check of a token that is not known.
func (v *Verifier) parse(ctx context.Context, token string) (*Principal, error) {
	if err := checkShape(token); err != nil {
		return nil, err
	}
	kid, err := keyName(token)
	if err != nil {
		return nil, err
	}
	c := &claims{}
	_, err = v.parser.ParseWithClaims(token, c, func(*jwt.Token) (any, error) {
		return v.keys.find(ctx, kid)
	})
	if err != nil {
		return nil, err
	}
	p, err := c.principal()
	if err != nil {
		return nil, &refused{badClaims, err.Error()}
	}
	return p, nil
}

// refuse counts a refusal, and says to clients what they may know of it.
func (v *Verifier) refuse(err error) error {
	why := reasonOf(err)
	v.metrics.refused[why].Inc()
	detail := "" // only ours: golang-jwt's may quote the token
	if r := (*refused)(nil); errors.As(err, &r) {
		detail = r.detail
	}
	v.log.Debug("a token is refused", "reason", string(why), "detail", detail)
	return v.refusals[why]
}

// reasonOf: golang-jwt tells every fault of the claims at once, the expiry among them.
func reasonOf(err error) reason {
	if r := (*refused)(nil); errors.As(err, &r) {
		return r.reason
	}
	for _, of := range []struct {
		is   error
		give reason
	}{
		{jwt.ErrTokenMalformed, badShape}, {jwt.ErrTokenSignatureInvalid, badSignature},
		{jwt.ErrTokenInvalidIssuer, badClaims}, {jwt.ErrTokenInvalidAudience, badClaims}, {jwt.ErrTokenRequiredClaimMissing, badClaims},
		{jwt.ErrTokenExpired, isExpired}, {jwt.ErrTokenNotValidYet, isEarly}, {jwt.ErrTokenUsedBeforeIssued, isEarly},
	} {
		if errors.Is(err, of.is) {
			return of.give
		}
	}
	return badClaims
}

// startLimit is how long a start without users waits for it.
const startLimit = 5 * time.Second

// Ready is nil when keys and revocations are known, or could not be had in the first
// seconds: a service must not wait for another one for longer.
func (v *Verifier) Ready() error {
	switch {
	case time.Since(v.opened) > startLimit:
		return nil
	case !v.keys.any():
		return errors.New("the keys of tokens are not known yet")
	case v.follower.lastAnswer().IsZero():
		return errors.New("it is not known yet which tokens are revoked")
	}
	return nil
}
