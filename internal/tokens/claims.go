package tokens

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// claims are those of an access token (RFC 9068, section 2.2). Others are overlooked.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Expires  seconds  `json:"exp"`
	Issued   seconds  `json:"iat"`
	Earliest seconds  `json:"nbf"`
	ID       string   `json:"jti"`
	Client   string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Session  string   `json:"sid"`
	Roles    []string `json:"roles"`
	AuthTime seconds  `json:"auth_time"`
}

// seconds is a NumericDate (RFC 7519, section 2); 0 if the claim is missing. Souk's are
// whole numbers, and any other spelling of them is refused.
type seconds int64

func (s seconds) time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0)
}

func (s seconds) numeric() (*jwt.NumericDate, error) {
	switch {
	case s == 0:
		return nil, nil //nolint:nilnil // how golang-jwt says that it is missing
	case s < 0 || s > 1<<40: // beyond what time can add to
		return nil, errors.New("a time is out of range")
	}
	return jwt.NewNumericDate(time.Unix(int64(s), 0)), nil
}

// audience is a string or an array of them (RFC 7519, section 4.1.3).
type audience []string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (a *audience) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '"' {
		*a = make(audience, 1)
		return json.UnmarshalDecode(dec, &(*a)[0])
	}
	return json.UnmarshalDecode(dec, (*[]string)(a))
}

// UnmarshalJSON is what golang-jwt calls, through encoding/json, which would take exp from
// "EXP", and the last one of two.
func (c *claims) UnmarshalJSON(raw []byte) error {
	type plain claims
	return json.Unmarshal(raw, (*plain)(c))
}

// These implement jwt.Claims.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires.numeric() }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.Issued.numeric() }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.Earliest.numeric() }
func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings(c.Audience), nil }

// Validate implements jwt.ClaimsValidator: it is asked after the signature and golang-jwt's
// own rules.
func (c *claims) Validate() error {
	switch {
	case c.Issued == 0:
		return errors.New("iat is missing")
	case c.Expires.time().Sub(c.Issued.time()) > Life+Leeway:
		return errors.New("it would live too long")
	case !visible(c.ID, 128), !visible(c.Client, 128), !visible(c.Subject, 128):
		return errors.New("jti, client_id or sub is missing or odd")
	case slices.ContainsFunc(c.scopes(), func(s string) bool { return !visible(s, 64) }):
		return errors.New("scope is odd")
	}
	return nil
}

func (c *claims) scopes() []string { return strings.Fields(c.Scope) }

// visible: printable ASCII without spaces, at most limit bytes, and not empty. Names end up
// in logs and keys.
func visible(s string, limit int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= limit
}

// principal tells users from clients. A token of a user has a session and a UUID as its
// subject; any other has its client as subject. So a client whose id looks like a user's
// can't pass for that user (RFC 9068, section 5).
func (c *claims) principal() (*Principal, error) {
	p := &Principal{
		Subject: c.Subject, Client: c.Client, TokenID: c.ID, Scopes: c.scopes(), Roles: c.Roles,
		AuthTime: c.AuthTime.time(), IssuedAt: c.Issued.time(), Expires: c.Expires.time(),
	}
	if c.Session == "" {
		if c.Subject != c.Client {
			return nil, errors.New("it has no session, and its subject is not its client")
		}
		p.key = p.Key()
		return p, nil
	}
	var err1, err2 error
	p.User, err1 = canonical(c.Subject)
	p.Session, err2 = canonical(c.Session)
	if err := errors.Join(err1, err2); err != nil || c.AuthTime == 0 {
		return nil, errors.New("sub, sid or auth_time is not what a user's token has")
	}
	p.key, p.session = p.Key(), c.Session
	return p, nil
}

// canonical takes one spelling only.
func canonical(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil || id == uuid.Nil || id.String() != s {
		return uuid.Nil, errors.New("no UUID in its canonical form")
	}
	return id, nil
}
