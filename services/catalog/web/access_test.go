package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"souk/internal/tokens"
)

// Every route, whoever asks: 0 stands for what the route answers once it lets somebody in.
func TestWhoMayUseEachRoute(t *testing.T) {
	a := serve(t)
	product := "/v1/products/" + a.product("guarded").ID
	category := "/v1/categories/" + a.category(`{"slug":"guarded","name":"Guarded"}`).ID
	callers := []struct{ name, token string }{
		{"anonymous", ""}, {"customer", a.issuer.User("customer")}, {"support", a.issuer.User("support")},
		{"merchandiser", a.issuer.User("merchandiser")}, {"admin", a.issuer.User("admin")},
		{"expired", a.issuer.Expired("admin")}, {"wrong audience", a.issuer.WrongAudience("admin")},
		{"service that may write", a.issuer.Client("importer", "catalog:write")}, {"service that may not", a.issuer.Client("reporter", "users:read")},
	}
	reading := [...]int{0, 0, 0, 0, 0, 0, 0, 0, 0} // whatever Authorization says
	writing := [...]int{401, 403, 403, 0, 0, 401, 401, 0, 403}
	for _, route := range []struct {
		method, path, body string
		answers            [9]int
		inside             int
	}{
		{"GET", "/v1/products", "", reading, 200},
		{"GET", product, "", reading, 200},
		{"GET", "/v1/categories", "", reading, 200},
		{"GET", category, "", reading, 200},
		{"GET", "/openapi.yaml", "", reading, 200},
		{"POST", "/v1/products", "{}", writing, 422},
		{"PATCH", product, `{"title":"x"}`, writing, 428},
		{"DELETE", product, "", writing, 428},
		{"POST", "/v1/categories", "{}", writing, 422},
		{"PATCH", category, `{"name":"x"}`, writing, 428},
		{"DELETE", category, "", writing, 428},
	} {
		for i, who := range callers {
			c := call{method: route.method, path: route.path, body: route.body, anonymous: true, wrong: true}
			if who.token != "" {
				c.headers = map[string]string{"Authorization": "Bearer " + who.token}
			}
			want := route.answers[i]
			if want == 0 {
				want = route.inside
			}
			got := a.do(c)
			if got.StatusCode != want {
				t.Errorf("%s %s by %s: %s, want %d: %s", route.method, route.path, who.name, got.Status, want, got.body)
			}
			challenge := got.Header.Get("WWW-Authenticate")
			if refused := want == 401 || want == 403; refused != strings.HasPrefix(challenge, `Bearer realm="souk"`) || want == 403 && !strings.Contains(challenge, `scope="catalog:write"`) {
				t.Errorf("%s %s by %s: WWW-Authenticate is %q", route.method, route.path, who.name, challenge)
			}
		}
	}
	a.want(200, call{method: "GET", path: product}) // nothing has happened to them
}

func TestAnIdempotencyKeyIsItsUsersOwn(t *testing.T) {
	a := serve(t)
	create := func(token, slug string) answer {
		return a.do(call{method: "POST", path: "/v1/products", body: productBody(slug), headers: map[string]string{
			"Idempotency-Key": "the-same", "Authorization": "Bearer " + token,
		}})
	}
	one, other := a.issuer.User("merchandiser"), a.issuer.User("merchandiser")
	first, second, again := create(one, "of-one"), create(other, "of-other"), create(one, "of-one")
	if first.StatusCode != 201 || second.StatusCode != 201 || second.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%s %s, %s %s", first.Status, first.body, second.Status, second.body)
	}
	if again.StatusCode != 201 || again.Header.Get("Idempotent-Replayed") != "true" || string(again.body) != string(first.body) {
		t.Errorf("again: %s %s", again.Status, again.body)
	}
}

func TestALogoutEndsAMerchandisersWrites(t *testing.T) {
	a := serve(t)
	claims := a.issuer.Claims("merchandiser")
	c := call{method: "POST", path: "/v1/products", body: "{}", wrong: true, headers: map[string]string{"Authorization": "Bearer " + a.issuer.Sign(claims)}}
	a.want(http.StatusUnprocessableEntity, c)
	a.issuer.Revoke(tokens.Revocation{Kind: tokens.KindSession, ID: claims["sid"].(string)})
	for a.do(c).StatusCode != http.StatusUnauthorized { // ends with the test's own time
		time.Sleep(5 * time.Millisecond)
	}
}
