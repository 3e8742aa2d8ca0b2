package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"gopkg.in/yaml.v3"
)

// Who may use a route of the gateway.
var (
	everybody  = []string{"nobody", "customer", "support", "merchandiser", "admin", "service"}
	users      = []string{"customer", "support", "merchandiser", "admin"}
	catalogues = []string{"merchandiser", "admin", "service"}
	supporters = []string{"support", "admin", "service"}
	admins     = []string{"admin", "service"}
	people     = append([]string{"nobody"}, users...)
	shoppers   = append([]string{"service"}, users...) // and who keeps the orders
)

// mayUse is said here once more, apart from the gateway's configuration, so that a slip there is seen.
var mayUse = map[string][]string{
	"GET /v1/products": everybody, "GET /v1/products/{id}": everybody, "GET /v1/categories": everybody, "GET /v1/categories/{id}": everybody,
	"POST /v1/products": catalogues, "PATCH /v1/products/{id}": catalogues, "DELETE /v1/products/{id}": catalogues,
	"POST /v1/categories": catalogues, "PATCH /v1/categories/{id}": catalogues, "DELETE /v1/categories/{id}": catalogues,

	"POST /v1/carts": people, "GET /v1/carts": users, "GET /v1/carts/{id}": people, "DELETE /v1/carts/{id}": people,
	"PUT /v1/carts/{id}/items/{sku}": people, "DELETE /v1/carts/{id}/items/{sku}": people, "POST /v1/carts/{id}/merge": users,
	"POST /v1/orders": users, "GET /v1/orders": shoppers, "GET /v1/orders/{id}": shoppers, "GET /v1/orders/{id}/events": shoppers, "POST /v1/orders/{id}/cancel": shoppers,
	"GET /v1/orders/{id}/fulfillments": shoppers, "POST /v1/orders/{id}/fulfillments": admins,
	"GET /v1/inventory": everybody, "GET /v1/inventory/{sku}": everybody, "PATCH /v1/inventory/{sku}": catalogues,
	"GET /v1/inventory/{sku}/adjustments": catalogues, "POST /v1/inventory/{sku}/adjustments": catalogues, "GET /v1/reservations/{order_id}": catalogues,
	"GET /v1/payment-intents": admins, "POST /v1/payment-intents": admins, "GET /v1/payment-intents/{id}": shoppers, "POST /v1/payment-intents/{id}/confirm": admins,
	"POST /v1/payment-intents/{id}/capture": admins, "POST /v1/payment-intents/{id}/cancel": admins, "GET /v1/refunds": admins, "POST /v1/refunds": admins,
	"POST /v1/provider-webhooks/{provider}": everybody, "GET /v1/webhook-endpoints": admins, "POST /v1/webhook-endpoints": admins,
	"GET /v1/webhook-endpoints/{id}": admins, "PATCH /v1/webhook-endpoints/{id}": admins, "DELETE /v1/webhook-endpoints/{id}": admins,
	"POST /v1/webhook-endpoints/{id}/rotate-secret": admins, "GET /v1/webhook-endpoints/{id}/deliveries": admins, "POST /v1/webhook-endpoints/{id}/deliveries/{delivery_id}/redeliver": admins,

	"POST /v1/users": everybody, "POST /v1/sessions": everybody, "POST /v1/email-verifications": everybody, "POST /v1/email-verifications/resend": everybody,
	"POST /v1/password-resets": everybody, "POST /v1/password-resets/confirm": everybody,
	"GET /v1/users/me": users, "PATCH /v1/users/me": users, "DELETE /v1/users/me": users, "PUT /v1/users/me/password": users, "GET /v1/users/me/export": users,
	"GET /v1/users/me/sessions": users, "DELETE /v1/users/me/sessions": users, "DELETE /v1/users/me/sessions/{id}": users,
	"GET /v1/users": supporters, "GET /v1/users/{id}": supporters, "PUT /v1/users/{id}/roles": admins,

	"GET /oauth2/authorize": everybody, "POST /oauth2/token": everybody, "POST /oauth2/revoke": everybody, "POST /oauth2/introspect": everybody, "GET /oauth2/jwks": everybody,
	"GET /oauth2/login": everybody, "POST /oauth2/login": everybody, "GET /oauth2/consent": everybody, "POST /oauth2/consent": everybody,
	"GET /account/verify": everybody, "POST /account/verify": everybody, "GET /account/reset": everybody, "POST /account/reset": everybody,
	"GET /.well-known/oauth-authorization-server": everybody,
}

// Allowed, these would end what the other cases need.
var ends = []string{"DELETE /v1/users/me", "DELETE /v1/users/me/sessions"}

func TestEveryRouteLetsInWhoMayUseItAndNobodyElse(t *testing.T) {
	routes := gatewayRoutes(t)
	for route := range mayUse {
		if !slices.Contains(routes, route) {
			t.Errorf("the gateway has no route %s", route)
		}
	}
	tokens := map[string]string{"nobody": ""}
	for _, role := range users {
		tokens[role] = example(t, role)
	}
	service, err := operator.Token()
	if err != nil {
		t.Fatal(err)
	}
	tokens["service"] = service.AccessToken
	parameter := regexp.MustCompile(`\{\w+\}`)
	for _, route := range routes {
		who, known := mayUse[route]
		if !known {
			t.Errorf("%s: this test does not say who may use it", route)
		}
		method, pattern, _ := strings.Cut(route, " ")
		path := parameter.ReplaceAllString(pattern, uuid.NewString())
		for _, caller := range everybody {
			may := slices.Contains(who, caller)
			if may && slices.Contains(ends, route) {
				continue
			}
			var body any
			if method != http.MethodGet {
				body = []byte(`{}`) // right for nothing, so nothing is done
			}
			status, header, answer, err := fetchWithHeader(http.DefaultClient, method, path, map[string]string{"Authorization": bearer(tokens[caller])}, body)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case may && header.Get("WWW-Authenticate") != "" && !strings.HasPrefix(pattern, "/oauth2/") && pattern != "/v1/sessions" && pattern != "/v1/provider-webhooks/{provider}": // those ask who it is themselves
				t.Errorf("%s as %s: %d %s", route, caller, status, answer)
			case !may && caller == "nobody" && status != http.StatusUnauthorized:
				t.Errorf("%s as %s: %d %s, want 401", route, caller, status, answer)
			case !may && caller != "nobody" && status != http.StatusForbidden:
				t.Errorf("%s as %s: %d %s, want 403", route, caller, status, answer)
			case status >= 500:
				t.Errorf("%s as %s: %d %s", route, caller, status, answer)
			}
		}
	}
	if status, answer, err := fetch(http.DefaultClient, "GET", "/internal/revocations", nil, nil); err != nil || status != http.StatusNotFound {
		t.Errorf("what is internal is routed: %d %s %v", status, answer, err)
	}
}

// gatewayRoutes are "METHOD /path" of the configuration that the instance started with.
func gatewayRoutes(t *testing.T) (routes []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(env.Root, "consul-config", "kv", "dev", "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Routes []struct {
			Path    string
			Methods []string
		}
	}
	if err := yaml.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	for _, r := range document.Routes {
		for _, method := range r.Methods {
			routes = append(routes, fmt.Sprintf("%s %s", method, r.Path))
		}
	}
	return routes
}
