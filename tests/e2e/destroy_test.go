package e2e

import (
	"context"
	"strings"
	"testing"
)

// TestDestroyUndoesTheProvisioningAndUpRepeatsIt also sees that data which is not
// Vault's survives.
func TestDestroyUndoesTheProvisioningAndUpRepeatsIt(t *testing.T) {
	postgres, id := keepers(t)["postgres"], kept("postgres")
	if err := postgres.put(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if out, err := env.Souk(t.Context(), "destroy", "-auto-approve", "-no-color", "-input=false"); err != nil {
		t.Fatalf("destroy: %v\n%s", err, out)
	}
	for command, gone := range map[string]string{
		"vault policy list":                           "orders",
		"vault secrets list":                          "transit",
		"vault auth list":                             "jwt-nomad",
		"consul acl auth-method list":                 "nomad-workloads",
		"consul acl role list":                        "souk-orders",
		"consul config list -kind service-intentions": "orders",
		"nomad namespace list":                        "infra",
		"nomad acl policy list":                       "deployer",
	} {
		out := shell(t, command)
		if strings.Contains(out, gone) || strings.Contains(strings.ToLower(out), "error") {
			t.Errorf("%s still shows %s, or fails:\n%s", command, gone, out)
		}
	}
	up(t)
	var err error
	if operator, err = operatorTokens(context.Background()); err != nil { // the secret and the signing key are others now
		t.Fatal(err)
	}
	if err := postgres.get(t.Context(), id); err != nil {
		t.Errorf("PostgreSQL's data: %v", err)
	}
	if out, err := env.Souk(t.Context(), "plan", "-detailed-exitcode", "-no-color", "-input=false"); err != nil {
		t.Errorf("the plan is not clean afterwards:\n%s", out)
	}
}
