package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// whoami answers 200 to whoever has a good token of a customer.
const whoami = "/v1/users/me"

func TestForgedTokensAreRefused(t *testing.T) {
	good := newCustomer(t).logIn(t).Access
	if status, body := withToken(t, good); status != http.StatusOK {
		t.Fatalf("a good token: %d %s", status, body)
	}
	keys := jwks(t)
	header, claims := decoded(t, good)
	kid := header["kid"].(string)
	public := keys[kid]
	if public == nil {
		t.Fatalf("kid %q is not among the published keys %v", kid, slices.Collect(maps.Keys(keys)))
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	uncompressed, err := public.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, key any, change map[string]any) string {
		token := jwt.NewWithClaims(method, claims)
		maps.Copy(token.Header, map[string]any{"typ": "at+jwt", "kid": kid})
		maps.Copy(token.Header, change)
		signed, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	ownJWK := map[string]any{"kty": "EC", "crv": "P-256", "x": encoded(own.X.FillBytes(make([]byte, 32))), "y": encoded(own.Y.FillBytes(make([]byte, 32)))} //nolint:staticcheck // the JWK wants the coordinates
	parts := strings.Split(good, ".")
	other := maps.Clone(claims)
	other["roles"], other["scope"] = []string{"admin"}, "account users:roles"
	raw, _ := json.Marshal(other)
	for name, token := range map[string]string{
		"alg none":                        sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"alg none with a good signature":  encoded([]byte(`{"alg":"none","typ":"at+jwt","kid":"`+kid+`"}`)) + "." + parts[1] + "." + parts[2],
		"HS256 with the key as DER":       sign(jwt.SigningMethodHS256, der, nil),
		"HS256 with the key as PEM":       sign(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil),
		"HS256 with the key's point":      sign(jwt.SigningMethodHS256, uncompressed, nil),
		"a key of its own":                sign(jwt.SigningMethodES256, own, nil),
		"a key of its own in jwk":         sign(jwt.SigningMethodES256, own, map[string]any{"jwk": ownJWK}),
		"a jku of its own":                sign(jwt.SigningMethodES256, own, map[string]any{"jku": "http://127.0.0.1:1/jwks", "kid": "mine"}),
		"an unknown kid":                  sign(jwt.SigningMethodES256, own, map[string]any{"kid": "99.aaaaaaaa"}),
		"a kid that is a path":            sign(jwt.SigningMethodES256, own, map[string]any{"kid": "../../../../dev/null"}),
		"a kid that is SQL":               sign(jwt.SigningMethodES256, own, map[string]any{"kid": "' OR 1=1 --"}),
		"a kid that is a list":            sign(jwt.SigningMethodES256, own, map[string]any{"kid": []string{kid}}),
		"no kid":                          sign(jwt.SigningMethodES256, own, map[string]any{"kid": nil}),
		"other claims, the old signature": parts[0] + "." + encoded(raw) + "." + parts[2],
		"no signature":                    parts[0] + "." + parts[1] + ".",
		"half a signature":                good[:len(good)-20],
		"two parts":                       parts[0] + "." + parts[1],
		"four parts":                      good + "." + parts[2],
		"a refresh token's look":          "srt_" + rand.Text(),
		"nothing":                         "",
		"12 kB":                           strings.Repeat("a", 12<<10),
	} {
		status, body := withToken(t, token)
		if status != http.StatusUnauthorized || !strings.Contains(body, `"code":`) {
			t.Errorf("%s: %d %s, want 401 and a problem that says why", name, status, body)
		}
	}
	if status, body := withToken(t, strings.Repeat("a", 1<<20)); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a token of 1 MB: %d %s", status, body)
	}
	if status, body := withToken(t, good); status != http.StatusOK {
		t.Errorf("the good token after all that: %d %s", status, body)
	}
}

func withToken(t *testing.T, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, env.GatewayURL()+whoami, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusUnauthorized && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("401 without a WWW-Authenticate that asks for a bearer token: %v", res.Header)
	}
	return res.StatusCode, string(body)
}

func TestALogoutIsRefusedEverywhereWithinFiveSeconds(t *testing.T) {
	password, err := env.Secret("example-merchandiser.password")
	if err != nil {
		t.Fatal(err)
	}
	c := customer{email: "merchandiser@example.com", password: password}
	tokens, other := c.logIn(t), c.logIn(t)
	direct := asGateway(t, "catalog")
	// What is asked for is bad, so nothing is made; before that comes the question who asks.
	atService := func(token string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, direct.url+"/v1/products", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := direct.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if status, body := withToken(t, tokens.Access); status != http.StatusOK {
		t.Fatalf("before: %d %s", status, body)
	}
	if status := atService(tokens.Access); status != http.StatusUnprocessableEntity && status != http.StatusBadRequest {
		t.Fatalf("before, at the catalogue: %d", status)
	}
	c.must(t, http.StatusNoContent, "DELETE", "/v1/users/me/sessions/"+tokens.Session, tokens.Access, nil, nil)
	out := time.Now()
	for what, status := range map[string]func() int{
		"the gateway":   func() int { s, _ := withToken(t, tokens.Access); return s },
		"the catalogue": func() int { return atService(tokens.Access) },
	} {
		for status() != http.StatusUnauthorized {
			if time.Since(out) > 5*time.Second {
				t.Fatalf("%s still takes a token 5 s after the logout", what)
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("%s refuses it after %s", what, time.Since(out).Round(time.Millisecond))
	}
	if status, body := withToken(t, other.Access); status != http.StatusOK {
		t.Errorf("the user's other session: %d %s", status, body)
	}
}

// directly speaks to an instance of a service as the gateway does.
type directly struct {
	url    string
	client *http.Client
}

func asGateway(t *testing.T, service string) directly {
	t.Helper()
	d := directly{}
	for _, e := range jobInstances(t, service) {
		d.url = fmt.Sprintf("https://%s:%d", e.Service.Address, e.Service.Port)
	}
	cert, roots := issued(t, "gateway")
	d.client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots, ServerName: service + ".souk.internal", Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS13,
	}}}
	t.Cleanup(d.client.CloseIdleConnections)
	return d
}

// jwks are the published keys by kid.
func jwks(t *testing.T) map[string]*ecdsa.PublicKey {
	t.Helper()
	var set struct {
		Keys []struct {
			Kty, Crv, Kid, Alg, Use, X, Y string
			D                             *string
		}
	}
	getInto(t, "/oauth2/jwks", &set)
	keys := map[string]*ecdsa.PublicKey{}
	for _, k := range set.Keys {
		if k.Kty != "EC" || k.Crv != "P-256" || k.Alg != "ES256" || k.Use != "sig" || k.D != nil {
			t.Errorf("not a public ES256 key: %+v", k)
		}
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if errX != nil || errY != nil {
			t.Fatal(errX, errY)
		}
		keys[k.Kid] = &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)} //nolint:staticcheck // a JWK has the coordinates
	}
	return keys
}

func decoded(t *testing.T, token string) (header map[string]any, claims jwt.MapClaims) {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header, parsed.Claims.(jwt.MapClaims)
}

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(bytes.Clone(b)) }

func TestAccessTokensAreAsRFC9068Says(t *testing.T) {
	c := newCustomer(t)
	tokens := c.logIn(t)
	header, claims := decoded(t, tokens.Access)
	if header["alg"] != "ES256" || header["typ"] != "at+jwt" || header["kid"] == "" {
		t.Errorf("header %v", header)
	}
	if claims["iss"] != env.GatewayURL() || claims["sub"] != c.id || claims["client_id"] != "souk" || claims["jti"] == "" || claims["sid"] != tokens.Session {
		t.Errorf("claims %v", claims)
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life != 600 {
		t.Errorf("it lasts %v s, want 600", life)
	}
	for name, value := range claims {
		if text := fmt.Sprint(value); strings.Contains(text, c.email) || strings.Contains(text, "Erin") {
			t.Errorf("claim %s holds personal data: %s", name, text)
		}
	}
	parsed, err := jwt.Parse(tokens.Access, func(token *jwt.Token) (any, error) { return jwks(t)[token.Header["kid"].(string)], nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(env.GatewayURL()), jwt.WithAudience("souk"), jwt.WithExpirationRequired())
	if err != nil || !parsed.Valid {
		t.Errorf("golang-jwt with the published keys: %v", err)
	}
}
