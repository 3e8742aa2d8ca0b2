package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestErasureLeavesNothingPersonal follows a user from registration to erasure, and looks for traces everywhere.
func TestErasureLeavesNothingPersonal(t *testing.T) {
	c := newCustomer(t)
	token := c.logIn(t).Access
	const name, street = "Zebulon Quillfeather", "Nightingale Crescent 7"
	patch := map[string]string{"Authorization": bearer(token), "If-Match": "*", "Content-Type": "application/merge-patch+json"}
	status, body, err := fetch(http.DefaultClient, "PATCH", whoami, patch, map[string]any{
		"name": name, "addresses": []any{map[string]any{"name": name, "line1": street, "city": "Graz", "postal_code": "8010", "country": "AT"}},
	})
	if err != nil || status != http.StatusOK {
		t.Fatalf("change the profile: %d %s %v", status, body, err)
	}
	status, export, err := fetch(http.DefaultClient, "GET", whoami+"/export", map[string]string{"Authorization": bearer(token)}, nil)
	if err != nil || status != http.StatusOK {
		t.Fatalf("export: %d %s %v", status, export, err)
	}
	for _, text := range []string{c.id, c.email, name, street, `"sessions"`} {
		if !bytes.Contains(export, []byte(text)) {
			t.Errorf("the export lacks %s: %s", text, export)
		}
	}
	if len(mailsTo(t, c.email)) == 0 {
		t.Fatal("there is no e-mail that could be erased")
	}

	c.must(t, http.StatusNoContent, "DELETE", whoami, token, nil, nil)
	eventually(t, 5*time.Second, "the token is refused", func(context.Context) error {
		if status, _ := withToken(t, token); status != http.StatusUnauthorized {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	if status, body, err := fetch(http.DefaultClient, "POST", "/v1/sessions", map[string]string{"Authorization": ""},
		map[string]any{"email": c.email, "password": c.password}); err != nil || status != http.StatusUnauthorized {
		t.Errorf("a login of the erased user: %d %s %v", status, body, err)
	}
	eventually(t, 15*time.Second, "the e-mails are gone", func(context.Context) error {
		if n := len(mailsTo(t, c.email)); n > 0 {
			return fmt.Errorf("%d are left", n)
		}
		return nil
	})
	for _, database := range []string{"users", "notifications"} {
		rows := everyRow(t, database)
		for _, text := range []string{c.email, name, street} {
			if at := strings.Index(rows, text); at >= 0 {
				t.Errorf("database %s still holds %q: ...%s...", database, text, rows[max(0, at-200):min(len(rows), at+200)])
			}
		}
	}
	checkEvents(t, "users.events.v1", c.id, []string{
		"souk.users.mail.requested.v1", "souk.users.user.registered.v1", "souk.users.user.verified.v1", "souk.users.user.erased.v1",
	})
	logs, err := filepath.Glob(env.Path("data", "nomad-client", "alloc", "*", "alloc", "logs", "*.std*.[0-9]*"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, file := range logs {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // rotated away
		}
		for _, text := range []string{c.email, name, street, c.password, token} {
			if bytes.Contains(raw, []byte(text)) {
				t.Errorf("%s holds personal data or a secret of the user", filepath.Base(file))
			}
		}
	}
}

// everyRow is the text of all rows of all tables of a service's database.
func everyRow(t *testing.T, database string) string {
	t.Helper()
	vault, err := env.Vault()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := vault.Logical().ReadWithContext(t.Context(), "database/creds/"+database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vault.Sys().Revoke(secret.LeaseID) })
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("postgres://%s:%s@%s/%s", secret.Data["username"], secret.Data["password"], env.PostgresAddr(), database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 5 {
		t.Fatalf("tables %v: %v", tables, err)
	}
	var all strings.Builder
	for _, table := range tables {
		var text *string
		if err := conn.QueryRow(t.Context(), "SELECT json_agg(r)::text FROM "+pgx.Identifier{table}.Sanitize()+" r").Scan(&text); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		if text != nil {
			fmt.Fprintf(&all, "%s %s\n", table, *text)
		}
	}
	return all.String()
}

// TestRolesChangeWhatTheNextTokenMayDo gives and takes a role; tokens from before are refused.
func TestRolesChangeWhatTheNextTokenMayDo(t *testing.T) {
	c := newCustomer(t)
	before := c.logIn(t)
	grant := func(roles ...string) {
		t.Helper()
		status, body, err := fetch(http.DefaultClient, "PUT", "/v1/users/"+c.id+"/roles", map[string]string{"If-Match": "*"}, map[string]any{"roles": roles})
		if err != nil || status != http.StatusOK {
			t.Fatalf("roles %v: %d %s %v", roles, status, body, err)
		}
	}
	scopes := func(tokens tokensOf) string {
		_, claims := decoded(t, tokens.Access)
		return fmt.Sprint(claims["scope"])
	}
	if s := scopes(before); strings.Contains(s, "catalog:write") {
		t.Fatalf("a customer has %s", s)
	}
	grant("customer", "merchandiser")
	eventually(t, 5*time.Second, "the token from before is refused", func(context.Context) error {
		if status, _ := withToken(t, before.Access); status != http.StatusUnauthorized {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	after, err := refreshed(http.DefaultClient, before.Refresh)
	if err != nil || !strings.Contains(scopes(after), "catalog:write") {
		t.Fatalf("refreshed after the role was given: %v, scopes %s", err, scopes(after))
	}
	c.must(t, http.StatusOK, "GET", whoami, after.Access, nil, nil)
	grant("customer")
	last, err := refreshed(http.DefaultClient, after.Refresh)
	if err != nil || strings.Contains(scopes(last), "catalog:write") {
		t.Fatalf("refreshed after the role was taken: %v, scopes %s", err, scopes(last))
	}
	status, body, err := fetch(http.DefaultClient, "PUT", "/v1/users/"+c.id+"/roles", map[string]string{"Authorization": bearer(last.Access), "If-Match": "*"}, map[string]any{"roles": []string{"admin"}})
	if err != nil || status != http.StatusForbidden {
		t.Errorf("a customer who makes himself admin: %d %s %v", status, body, err)
	}
	var problem struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(body, &problem); err != nil || problem.Code != "insufficient-scope" {
		t.Errorf("%s: %v", body, err)
	}
}
