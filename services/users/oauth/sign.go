package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	vaultapi "github.com/hashicorp/vault/api"

	"souk/internal/errs"
	"souk/internal/tokens"
)

// claims are those of an access token (RFC 9068, section 2.2).
type claims struct {
	jwt.RegisteredClaims
	ClientID string           `json:"client_id"`
	Scope    string           `json:"scope"`
	Session  string           `json:"sid,omitempty"` // users only, like those that follow
	Roles    []string         `json:"roles,omitempty"`
	AuthTime *jwt.NumericDate `json:"auth_time,omitempty"`
}

// newClaims are those of every token that is issued now.
func newClaims(issuer, subject, client string, scopes []string, now time.Time) (claims, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return claims{}, err
	}
	now = now.Truncate(time.Second)
	at := jwt.NewNumericDate(now)
	return claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Subject: subject, Audience: jwt.ClaimStrings{tokens.Audience},
			IssuedAt: at, NotBefore: at, ExpiresAt: jwt.NewNumericDate(now.Add(tokens.Life)), ID: id.String(),
		},
		ClientID: client, Scope: strings.Join(scopes, " "),
	}, nil
}

// signTimeout is how long Vault may take.
const signTimeout = 2 * time.Second

// Sign makes an access token of claims; errs.Unavailable while Vault can't sign.
func (k *Keys) Sign(ctx context.Context, c jwt.Claims) (string, error) {
	token, err := k.sign(ctx, c)
	if answer := (*vaultapi.ResponseError)(nil); errors.As(err, &answer) && answer.StatusCode == http.StatusBadRequest {
		// Vault may have been told not to sign with this version any more.
		if err = k.read(ctx); err == nil {
			token, err = k.sign(ctx, c)
		}
	}
	if known := (*errs.Error)(nil); err != nil && !errors.As(err, &known) {
		err = errs.New(errs.Unavailable, "signing-unavailable", "tokens can't be signed at the moment; try again").After(2 * time.Second).Because(err)
	}
	return token, err
}

func (k *Keys) sign(ctx context.Context, c jwt.Claims) (string, error) {
	versions, err := k.known()
	if err != nil {
		return "", err
	}
	v := signing(versions, k.delay(), time.Now())
	token := &jwt.Token{Method: jwt.SigningMethodES256, Claims: c, Header: map[string]any{"alg": jwt.SigningMethodES256.Alg(), "typ": "at+jwt", "kid": v.kid}}
	text, err := token.SigningString()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	secret, err := k.vault.Logical().WriteWithContext(ctx, "transit/sign/"+keyName+"/sha2-256", map[string]any{
		"input": base64.StdEncoding.EncodeToString([]byte(text)), "key_version": v.number, "marshaling_algorithm": "jws",
	})
	if err != nil {
		return "", fmt.Errorf("sign with transit key %s: %w", keyName, err)
	}
	if secret == nil {
		return "", errors.New("there is no signature in Vault's answer")
	}
	signature, _ := secret.Data["signature"].(string)
	signature, ok := strings.CutPrefix(signature, fmt.Sprintf("vault:v%d:", v.number))
	if !ok || len(signature) != base64.RawURLEncoding.EncodedLen(64) {
		return "", errors.New("the signature in Vault's answer is of another kind")
	}
	return text + "." + signature, nil
}

// verify reads an access token of ours that has not expired. It does not know of revocations.
func (k *Keys) verify(issuer, token string) (c claims, err error) {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}), jwt.WithIssuer(issuer), jwt.WithAudience(tokens.Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(tokens.Leeway))
	_, err = parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if t.Header["typ"] != "at+jwt" {
			return nil, errors.New("it is no access token")
		}
		kid, _ := t.Header["kid"].(string)
		return k.public(kid)
	})
	return c, err
}
