package tokens

import (
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
)

// tokenType is the typ of an access token (RFC 9068, section 2.1).
const tokenType = "at+jwt"

// maxKid bounds a key's name, in bytes.
const maxKid = 64

// header is all that may stand in the header of a token. What else a JWS knows names keys
// or rules to check it by (jku, jwk, x5u, x5c, crit, b64, zip): none of that is the
// sender's to say.
type header struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	Key       string `json:"kid"`
}

// checkShape refuses, before anything is decoded, what can't be a compact JWS (RFC 7515,
// section 3.1): decoders overlook line breaks. An encoding that is not canonical is
// refused later, by the strict decoders.
func checkShape(token string) error {
	dots := 0
	for i := range len(token) {
		switch c := token[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.':
			dots++
		default:
			return &refused{badShape, "a character that is none of base64url"}
		}
	}
	if dots != 2 {
		return &refused{badShape, "it has not three parts"}
	}
	return nil
}

// keyName checks the header and returns the kid.
func keyName(token string) (string, error) {
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return "", &refused{badShape, "the header is not base64url"}
	}
	var h header
	// Names that are unknown, come twice, or differ in case are errors.
	if err := json.Unmarshal(raw, &h, json.RejectUnknownMembers(true)); err != nil {
		return "", &refused{badHeader, "it is not just alg, typ and kid"}
	}
	switch {
	case h.Algorithm != jwt.SigningMethodES256.Alg():
		return "", &refused{badHeader, "alg is not ES256"}
	case h.Type != tokenType:
		return "", &refused{badHeader, "typ is not at+jwt"}
	case !validKid(h.Key):
		return "", &refused{badHeader, "kid is missing or odd"}
	}
	return h.Key, nil
}

// validKid: a key's name is looked up and nothing else, but it also stands in logs.
func validKid(kid string) bool {
	for i := range len(kid) {
		switch c := kid[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return len(kid) > 0 && len(kid) <= maxKid
}
