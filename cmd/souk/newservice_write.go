package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// write makes the files, the service's folder whole as the last. If it fails it takes back what it made.
func (d *draft) write() (err error) {
	var made []string
	defer func() {
		if err != nil {
			for _, file := range slices.Backward(made) {
				err = errors.Join(err, os.RemoveAll(file))
			}
		}
	}()
	for _, file := range slices.Sorted(maps.Keys(d.files)) {
		target := filepath.Join(d.root, filepath.FromSlash(file))
		fresh, err := writeNew(target, d.files[file])
		if fresh {
			made = append(made, target)
		}
		if err != nil {
			return err
		}
	}
	// Not below services/, where everything looks for programs.
	scratch, err := os.MkdirTemp(d.root, ".new-service-")
	if err != nil {
		return err
	}
	made = append(made, scratch)
	if err := os.Chmod(scratch, 0o755); err != nil {
		return err
	}
	for file, content := range d.folder {
		target := filepath.Join(scratch, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if _, err := writeNew(target, content); err != nil {
			return err
		}
	}
	return os.Rename(scratch, filepath.Join(d.root, "services", d.name))
}

// writeNew never touches a file that is there; fresh tells that there was none.
func writeNew(file string, content []byte) (fresh bool, err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return false, err
	}
	_, err = f.Write(content)
	return true, errors.Join(err, f.Close())
}

// summary says what was made and kept, and what to do next.
func (d *draft) summary() string {
	var lines []string
	for _, file := range slices.Sorted(maps.Keys(d.folder)) {
		lines = append(lines, "  made  services/"+d.name+"/"+file)
	}
	for _, file := range slices.Sorted(maps.Keys(d.files)) {
		lines = append(lines, "  made  "+file)
	}
	for _, file := range slices.Sorted(slices.Values(d.kept)) {
		lines = append(lines, "  kept  "+file)
	}
	lines = append(lines, "Next:")
	for i, step := range append(d.missing(), d.steps()...) {
		lines = append(lines, fmt.Sprintf("  %d. %s", i+1, strings.ReplaceAll(step, "\n", "\n     ")))
	}
	return strings.Join(lines, "\n")
}

func (d *draft) steps() []string {
	return []string{
		"make up: Vault, Consul and PostgreSQL learn of it; it is built and runs",
		"go test ./services/" + d.name + "/...: the whole program on the real servers (-short: without)",
		"to let clients in, add to consul-config/kv/<env>/gateway.yaml, and `bin/souk config push`:\n" + strings.ReplaceAll(gatewayRoutes, "$", d.name),
		"say who gets the scopes items:read and items:write: a role in services/users/app/roles.go, or a client in\n" +
			"consul-config/kv/<env>/users.yaml",
		"make it yours: services/" + d.name + "/app says what it is about; web/, store/ and openapi.yaml follow.\n" +
			"events/ comes with the first event, as in services/catalog/events",
	}
}

const gatewayRoutes = `routes:
  - path: /v1/items
    methods: [GET]
    service: $
    scopes: [items:read]
  - path: /v1/items
    methods: [POST]
    service: $
    scopes: [items:write]
  - path: /v1/items/{id}
    methods: [GET]
    service: $
    scopes: [items:read]
  - path: /v1/items/{id}
    methods: [PATCH]
    service: $
    scopes: [items:write]
apis:
  - name: $
    service: $
    path: /openapi.yaml`

// missing is what files that were there already lack for this service.
func (d *draft) missing() (steps []string) {
	for _, need := range []struct{ file, has, step string }{
		{"vault-policies/" + d.name + ".hcl", `"database/creds/` + d.name + `"`, "gives no PostgreSQL user: add both paths of database/creds, as in vault-policies/inventory.hcl"},
		{"vault-policies/" + d.name + ".hcl", `"pki/sign/` + d.name + `"`, "gives no certificate: add pki/sign, as in vault-policies/inventory.hcl"},
		{"consul-config/acl/" + d.name + ".hcl", `service "postgres"`, "does not let it find PostgreSQL: add that, as in consul-config/acl/inventory.hcl"},
		{"consul-config/acl/" + d.name + ".hcl", `service "users"`, "does not let it find users, whose keys verify tokens: add that, as in consul-config/acl/inventory.hcl"},
	} {
		if raw, err := os.ReadFile(filepath.Join(d.root, need.file)); err != nil || !strings.Contains(string(raw), need.has) {
			steps = append(steps, need.file+" "+need.step)
		}
	}
	return steps
}
