package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"time"

	"souk/internal/tokens"
)

// keyMargin is how long a version is published after its last token has expired: other instances learn of the next
// version up to a poll later, and clocks differ.
const keyMargin = 5 * time.Minute

// version is one version of the key in Vault.
type version struct {
	number  int
	created time.Time
	public  *ecdsa.PublicKey
	kid     string // "<number>.<8 characters of the RFC 7638 thumbprint>"
	jwk     json.RawMessage
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
