package tokens_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/tokens"
	"souk/internal/tokens/tokenstest"
)

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func toJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// craft signs texts that are taken as they are, with ES256's signature unless sign is given.
func craft(t testing.TB, i *tokenstest.Issuer, header, claims string, sign func(input string) []byte) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(claims))
	if sign == nil {
		_, key := i.Key()
		sign = func(input string) []byte { return es256(t, key, input) }
	}
	return input + "." + b64(sign(input))
}

func es256(t testing.TB, key *ecdsa.PrivateKey, input string) []byte {
	t.Helper()
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	size := (key.Params().BitSize + 7) / 8
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
}

func headerOf(i *tokenstest.Issuer, more ...any) map[string]any {
	kid, _ := i.Key()
	h := map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": kid}
	for n := 0; n < len(more); n += 2 {
		if more[n+1] == nil {
			delete(h, more[n].(string))
		} else {
			h[more[n].(string)] = more[n+1]
		}
	}
	return h
}

func TestAGoodTokenSaysWhomItSpeaksFor(t *testing.T) {
	i := tokenstest.New(t)
	claims := i.Claims("merchandiser")
	p, err := i.Verifier().Verify(t.Context(), i.Sign(claims))
	if err != nil {
		t.Fatal(err)
	}
	if p.User.String() != claims["sub"] || p.Subject != claims["sub"] || p.Session.String() != claims["sid"] || p.TokenID != claims["jti"] || p.Client != "souk" ||
		p.Key() != "user/"+p.Subject || !p.Has("catalog:write") || p.Has("users:roles") || len(p.Roles) != 1 || p.Roles[0] != "merchandiser" ||
		p.Expires.Unix() != claims["exp"] || p.IssuedAt.Unix() != claims["iat"] || p.AuthTime.Unix() != claims["auth_time"] {
		t.Errorf("%+v of %v", p, claims)
	}
	p, err = i.Verifier().Verify(t.Context(), i.Client("importer", "catalog:write"))
	if err != nil {
		t.Fatal(err)
	}
	if p.User != uuid.Nil || p.Session != uuid.Nil || p.Key() != "client/importer" || !p.Has("catalog:write") || !p.AuthTime.IsZero() {
		t.Errorf("%+v", p)
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	i := tokenstest.New(t)
	v := i.Verifier()
	kid, key := i.Key()
	claims := toJSON(t, i.Claims("admin"))
	header := func(more ...any) string { return toJSON(t, headerOf(i, more...)) }
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	hs256 := func(secret []byte) func(string) []byte {
		return func(input string) []byte {
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			return mac.Sum(nil)
		}
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rs256 := func(input string) []byte {
		digest := sha256.Sum256([]byte(input))
		sig, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mineSigns := func(input string) []byte { return es256(t, mine, input) }
	minePoint, err := mine.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	mineJWK := map[string]any{"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(minePoint[1:33]), "y": b64(minePoint[33:])}
	none := func(string) []byte { return nil }

	for name, token := range map[string]string{
		"alg none":                  craft(t, i, header("alg", "none"), claims, none),
		"alg None":                  craft(t, i, header("alg", "None"), claims, none),
		"alg none with a signature": craft(t, i, header("alg", "none"), claims, nil),
		"alg missing":               craft(t, i, header("alg", nil), claims, nil),
		"alg empty":                 craft(t, i, header("alg", ""), claims, nil),
		"alg an array":              craft(t, i, header("alg", []string{"ES256"}), claims, nil),
		"alg in other case":         craft(t, i, header("alg", "es256"), claims, nil),
		"HS256 with the public key": craft(t, i, header("alg", "HS256"), claims, hs256(public)),
		"HS256 with the point":      craft(t, i, header("alg", "HS256"), claims, hs256(point)),
		"HS256 with nothing":        craft(t, i, header("alg", "HS256"), claims, hs256(nil)),
		"RS256":                     craft(t, i, header("alg", "RS256"), claims, rs256),
		"PS256":                     craft(t, i, header("alg", "PS256"), claims, rs256),
		"ES384":                     craft(t, i, header("alg", "ES384"), claims, func(s string) []byte { return es256(t, p384, s) }),
		"ES256 of another curve":    craft(t, i, header(), claims, func(s string) []byte { return es256(t, p384, s) }),
		"ES256 of another key":      craft(t, i, header(), claims, mineSigns),
		"ES256K":                    craft(t, i, header("alg", "ES256K"), claims, nil),
		"EdDSA":                     craft(t, i, header("alg", "EdDSA"), claims, nil),
		"no signature":              craft(t, i, header(), claims, none),
		"a signature of zeros":      craft(t, i, header(), claims, func(string) []byte { return make([]byte, 64) }),
		"r and s are the order":     craft(t, i, header(), claims, func(string) []byte { n := elliptic.P256().Params().N.Bytes(); return append(n, n...) }),
		"a signature in ASN.1": craft(t, i, header(), claims, func(s string) []byte {
			d := sha256.Sum256([]byte(s))
			sig, _ := ecdsa.SignASN1(rand.Reader, key, d[:])
			return sig
		}),
		"a signature and a byte":        craft(t, i, header(), claims, func(s string) []byte { return append(es256(t, key, s), 0) }),
		"kid missing":                   craft(t, i, header("kid", nil), claims, nil),
		"kid empty":                     craft(t, i, header("kid", ""), claims, nil),
		"kid unknown":                   craft(t, i, header("kid", "9.unknown"), claims, nil),
		"kid a path":                    craft(t, i, header("kid", "../../../dev/null"), claims, hs256(nil)),
		"kid SQL":                       craft(t, i, header("kid", "x' OR '1'='1"), claims, nil),
		"kid a URL":                     craft(t, i, header("kid", "https://evil.example/key"), claims, mineSigns),
		"kid with a NUL":                craft(t, i, header("kid", kid+"\x00"), claims, nil),
		"kid huge":                      craft(t, i, header("kid", strings.Repeat("k", 2000)), claims, nil),
		"kid an array":                  craft(t, i, header("kid", []string{kid}), claims, nil),
		"kid a number":                  craft(t, i, header("kid", 1), claims, nil),
		"jku":                           craft(t, i, header("jku", "https://evil.example/jwks"), claims, mineSigns),
		"jku with the right key":        craft(t, i, header("jku", tokenstest.URL+"/oauth2/jwks"), claims, nil),
		"jwk":                           craft(t, i, header("jwk", mineJWK), claims, mineSigns),
		"jwk and another alg":           craft(t, i, header("jwk", mineJWK, "kid", nil), claims, mineSigns),
		"x5u":                           craft(t, i, header("x5u", "https://evil.example/c.pem"), claims, mineSigns),
		"x5c":                           craft(t, i, header("x5c", []string{b64(public)}), claims, mineSigns),
		"x5t":                           craft(t, i, header("x5t", "abc"), claims, nil),
		"crit":                          craft(t, i, header("crit", []string{"exp"}, "exp", 1), claims, nil),
		"crit empty":                    craft(t, i, header("crit", []string{}), claims, nil),
		"b64 false":                     craft(t, i, header("b64", false), claims, nil),
		"zip":                           craft(t, i, header("zip", "DEF"), claims, nil),
		"typ JWT":                       craft(t, i, header("typ", "JWT"), claims, nil),
		"typ missing":                   craft(t, i, header("typ", nil), claims, nil),
		"typ of an id token":            craft(t, i, header("typ", "id+jwt"), claims, nil),
		"typ in other case":             craft(t, i, header("typ", "AT+JWT"), claims, nil),
		"cty nested":                    craft(t, i, header("cty", "JWT"), i.User("admin"), nil),
		"nested":                        craft(t, i, header(), i.User("admin"), nil),
		"nested as a string":            craft(t, i, header(), `"`+i.User("admin")+`"`, nil),
		"header twice alg":              craft(t, i, `{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"`+kid+`"}`, claims, nil),
		"header twice kid":              craft(t, i, `{"alg":"ES256","typ":"at+jwt","kid":"evil","kid":"`+kid+`"}`, claims, nil),
		"header with another case":      craft(t, i, `{"ALG":"ES256","typ":"at+jwt","kid":"`+kid+`"}`, claims, nil),
		"header with both cases":        craft(t, i, `{"alg":"ES256","Alg":"none","typ":"at+jwt","kid":"`+kid+`"}`, claims, nil),
		"header null":                   craft(t, i, `null`, claims, nil),
		"header an array":               craft(t, i, `[]`, claims, nil),
		"header with more behind it":    craft(t, i, header()+"{}", claims, nil),
		"header with a bad character":   craft(t, i, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\xff\"}", claims, nil),
		"claims null":                   craft(t, i, header(), `null`, nil),
		"claims an array":               craft(t, i, header(), `[`+claims+`]`, nil),
		"claims twice sub":              craft(t, i, header(), `{"sub":"evil",`+claims[1:], nil),
		"claims twice exp":              craft(t, i, header(), claims[:len(claims)-1]+`,"exp":99999999999}`, nil),
		"claims with more behind them":  craft(t, i, header(), claims+"x", nil),
		"claims that end in the middle": craft(t, i, header(), claims[:len(claims)/2], nil),
		"nothing":                       "",
		"dots":                          "..",
		"one part":                      "abc",
		"a JWE":                         "a.b.c.d.e",
		"a refresh token":               "srt_" + strings.Repeat("a", 43),
		"a megabyte":                    strings.Repeat("a", 1<<20),
		"a megabyte in a good token":    craft(t, i, header(), claims[:len(claims)-1]+`,"x":"`+strings.Repeat("a", 1<<20)+`"}`, nil),
		"a megabyte of dots":            strings.Repeat(".", 1<<20),
		"another character set":         "é.é.é",
	} {
		p, err := v.Verify(t.Context(), token)
		if errs.CodeOf(err) != "invalid-token" || errs.KindOf(err) != errs.Unauthenticated || p != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && token != "" && strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error shows the token", name)
		}
	}
	if _, err := v.Verify(t.Context(), craft(t, i, header(), claims, nil)); err != nil {
		t.Errorf("the model of them all is refused too: %v", err)
	}
}

func TestClaimsThatSayTooLittleOrTooMuchAreRefused(t *testing.T) {
	i := tokenstest.New(t)
	v := i.Verifier()
	now := time.Now().Unix()
	header := toJSON(t, headerOf(i))
	with := func(service bool, changes map[string]any) string {
		claims := i.Claims("admin")
		if service {
			for _, c := range []string{"sid", "roles", "auth_time"} {
				delete(claims, c)
			}
			claims["sub"], claims["client_id"] = "importer", "importer"
		}
		maps.Copy(claims, changes)
		maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
		return craft(t, i, header, toJSON(t, claims), nil)
	}
	raw := func(name, value string) string { // a value as it is
		claims := toJSON(t, i.Claims("admin"))
		var all map[string]any
		if err := json.Unmarshal([]byte(claims), &all); err != nil {
			t.Fatal(err)
		}
		delete(all, name)
		rest := toJSON(t, all)
		return craft(t, i, header, `{"`+name+`":`+value+`,`+rest[1:], nil)
	}
	is := func(changes ...any) map[string]any {
		m := map[string]any{}
		for n := 0; n < len(changes); n += 2 {
			m[changes[n].(string)] = changes[n+1]
		}
		return m
	}
	type test struct{ name, token, code string }
	tests := []test{
		{"good", with(false, nil), ""},
		{"a good service", with(true, nil), ""},
		{"aud a string", with(false, is("aud", "souk")), ""},
		{"aud among others", with(false, is("aud", []string{"other", "souk"})), ""},
		{"no nbf", with(false, is("nbf", nil)), ""},
		{"a clock that is a little ahead", with(false, is("iat", now+2, "nbf", now+2)), ""},
		{"other claims", with(false, is("cnf", map[string]any{"jkt": "x"}, "email", "a@b.example")), ""},
		{"no scope", with(false, is("scope", nil)), ""},

		{"expired", i.Expired(), "token-expired"},
		{"just expired", with(false, is("exp", now-6, "iat", now-600, "nbf", now-600)), "token-expired"},
		{"expired and for others", with(false, is("exp", now-60, "aud", "x")), "invalid-token"},
		{"exp a string", with(false, is("exp", fmt.Sprint(now+60))), "invalid-token"},
		{"exp a fraction", with(false, is("exp", float64(now)+60.5)), "invalid-token"},
		{"exp with an exponent", raw("exp", "1e12"), "invalid-token"},
		{"exp huge", with(false, is("exp", int64(1)<<62)), "invalid-token"},
		{"exp beyond integers", raw("exp", "99999999999999999999999"), "invalid-token"},
		{"exp infinite", raw("exp", "1e999"), "invalid-token"},
		{"exp negative", with(false, is("exp", -1)), "invalid-token"},
		{"exp null", raw("exp", "null"), "invalid-token"},
		{"exp an object", raw("exp", "{}"), "invalid-token"},
		{"exp in other case", with(false, is("exp", nil, "EXP", now+60)), "invalid-token"},
		{"a life too long", with(false, is("exp", now+3600)), "invalid-token"},
		{"a life too long, backdated", with(false, is("exp", now+60, "iat", now-3600)), "invalid-token"},
		{"nbf in the future", with(false, is("nbf", now+60)), "invalid-token"},
		{"nbf a string", with(false, is("nbf", "0")), "invalid-token"},
		{"iat in the future", with(false, is("iat", now+60, "nbf", now)), "invalid-token"},
		{"iss with a slash", with(false, is("iss", tokenstest.URL+"/")), "invalid-token"},
		{"iss in upper case", with(false, is("iss", strings.ToUpper(tokenstest.URL))), "invalid-token"},
		{"iss of another scheme", with(false, is("iss", "http://shop.example")), "invalid-token"},
		{"iss longer", with(false, is("iss", tokenstest.URL+".evil.example")), "invalid-token"},
		{"iss an array", with(false, is("iss", []string{tokenstest.URL})), "invalid-token"},
		{"aud of others", i.WrongAudience(), "invalid-token"},
		{"aud empty", with(false, is("aud", []string{})), "invalid-token"},
		{"aud a prefix", with(false, is("aud", "souk2")), "invalid-token"},
		{"aud an object", with(false, is("aud", map[string]any{"souk": true})), "invalid-token"},
		{"aud with a number", with(false, is("aud", []any{"souk", 1})), "invalid-token"},
		{"aud nested", with(false, is("aud", []any{[]string{"souk"}})), "invalid-token"},
		{"sub empty", with(false, is("sub", "")), "invalid-token"},
		{"sub no UUID", with(false, is("sub", "admin")), "invalid-token"},
		{"sub a UUID in upper case", with(false, is("sub", strings.ToUpper(uuid.NewString()))), "invalid-token"},
		{"sub a URN", with(false, is("sub", "urn:uuid:"+uuid.NewString())), "invalid-token"},
		{"sub nobody", with(false, is("sub", uuid.Nil.String())), "invalid-token"},
		{"sub a number", with(false, is("sub", 1)), "invalid-token"},
		{"sid no UUID", with(false, is("sid", "x")), "invalid-token"},
		{"a user without a session", with(false, is("sid", nil)), "invalid-token"},
		{"a client as a user", with(true, is("sub", uuid.NewString())), "invalid-token"},
		{"client_id empty", with(false, is("client_id", "")), "invalid-token"},
		{"client_id with a space", with(false, is("client_id", "a b")), "invalid-token"},
		{"client_id with a line break", with(false, is("client_id", "a\nb")), "invalid-token"},
		{"jti empty", with(false, is("jti", "")), "invalid-token"},
		{"jti huge", with(false, is("jti", strings.Repeat("j", 500))), "invalid-token"},
		{"jti a number", with(false, is("jti", 7)), "invalid-token"},
		{"scope an array", with(false, is("scope", []string{"admin"})), "invalid-token"},
		{"scope odd", with(false, is("scope", "a \x00")), "invalid-token"},
		{"roles a string", with(false, is("roles", "admin")), "invalid-token"},
		{"auth_time a string", with(false, is("auth_time", "now")), "invalid-token"},
	}
	for _, claim := range []string{"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "auth_time"} {
		tests = append(tests, test{claim + " missing", with(false, is(claim, nil)), "invalid-token"})
	}
	for _, c := range tests {
		if _, err := v.Verify(t.Context(), c.token); errs.CodeOf(err) != c.code || (err == nil) != (c.code == "") {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
	}
}

// Spellings of one token that decode to the same bytes would each be an entry of the cache,
// and pass lists that name tokens by their hash.
func TestATokenHasOneSpelling(t *testing.T) {
	i := tokenstest.New(t)
	v := i.Verifier()
	token := i.User()
	part := strings.Split(token, ".")
	join := func(h, c, s string) string { return h + "." + c + "." + s }
	// 64 bytes leave four unused bits in the last character.
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", part[2][85])
	variants := map[string]string{
		"padded":                 token + "==",
		"padded once":            token + "=",
		"padded header":          join(part[0]+"=", part[1], part[2]),
		"a dot behind":           token + ".",
		"a dot before":           "." + token,
		"four parts":             token + "." + part[2],
		"two parts":              part[0] + "." + part[1],
		"signature cut":          token[:len(token)-1],
		"signature cut by 4":     token[:len(token)-4],
		"signature longer":       token + "AA",
		"a line break":           token[:20] + "\n" + token[20:],
		"CRLF in the signature":  token[:len(token)-5] + "\r\n" + token[len(token)-5:],
		"a line break at an end": token + "\n",
		"a space":                token[:20] + " " + token[20:],
		"spaces around":          " " + token + " ",
		"a NUL":                  token + "\x00",
		"the other base64":       strings.ReplaceAll(strings.ReplaceAll(token, "-", "+"), "_", "/") + "+",
		"percent-encoded":        strings.Replace(token, ".", "%2E", 1),
	}
	for extra := 1; extra < 16; extra++ {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		variants[fmt.Sprint("unused bits ", extra)] = token[:len(token)-1] + string(alphabet[last^extra])
	}
	for round := range 2 { // before the token is known, and after
		for name, spelling := range variants {
			if _, err := v.Verify(t.Context(), spelling); errs.CodeOf(err) != "invalid-token" {
				t.Errorf("%s in round %d: %v", name, round, err)
			}
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	// The mirrored signature is as good as the first (ECDSA); it is about the same token,
	// so what revokes one revokes the other.
	sig, err := base64.RawURLEncoding.DecodeString(part[2])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(sig[32:])
	mirrored := join(part[0], part[1], b64(sig))
	p, err := v.Verify(t.Context(), mirrored)
	if err != nil {
		t.Fatal(err)
	}
	i.Revoke(tokens.Revocation{Kind: tokens.KindToken, ID: p.TokenID})
	for _, one := range []string{token, mirrored} {
		until(t, "it is revoked", func() bool { _, err := v.Verify(t.Context(), one); return errs.CodeOf(err) == "token-revoked" })
	}
}

// until waits for what comes from another goroutine.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

func FuzzNoTextIsAGoodToken(f *testing.F) {
	i := tokenstest.New(f)
	v := i.Verifier()
	good := i.User()
	for _, seed := range []string{good, i.Client("c"), i.Expired(), "", "..", good + "="} {
		f.Add(seed)
	}
	part := strings.Split(good, ".")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := v.Verify(t.Context(), token)
		if (p == nil) == (err == nil) {
			t.Fatal(p, err)
		}
		if err == nil && !strings.HasPrefix(token, part[0]) {
			t.Errorf("%q is good", token)
		}
	})
}
