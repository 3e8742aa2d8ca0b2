// Package layout tests how the code is laid out: who may import whom.
package layout

import (
	"os/exec"
	"strings"
	"testing"
)

// mayImport says which rooms of its own service a room may import. A room that is not
// named here has no place in a service.
var mayImport = map[string][]string{
	"":         {"app", "web", "store", "events", "oauth", "mail", "catalog", "provider", "webhooks"}, // main
	"app":      nil,
	"web":      {"app"},
	"events":   {"app"},
	"store":    {"app"},
	"oauth":    {"app"},             // users: the OAuth 2 server beside the REST API
	"mail":     {"app"},             // notifications: composing and sending
	"catalog":  {"app"},             // orders: the client that asks for prices
	"provider": {"app", "provider"}, // payments: who moves the money, a package each
	"webhooks": {"app"},             // payments: what is sent to the shop's own systems
}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}: {{join .Imports " "}}`, "souk/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	services := 0
	for line := range strings.Lines(string(out)) {
		importer, imports, _ := strings.Cut(strings.TrimSpace(line), ": ")
		from, service, room := place(importer)
		if from == "services" {
			services++
			if _, ok := mayImport[room]; !ok && room != "" {
				t.Errorf("%s: a service has no room %q", importer, room)
			}
		}
		for _, imported := range strings.Fields(imports) {
			to, otherService, otherRoom := place(imported)
			switch {
			case to == "" || from == "tests" || imported == importer:
			case from == "internal" && to != "internal" && to != "stack":
				t.Errorf("%s imports %s: internal/ is below everything", importer, imported)
			case to == "services" && from != "services", to == "gateway" && from != "gateway":
				t.Errorf("%s imports %s: programs are asked, not imported", importer, imported)
			case to == "services" && otherService != service:
				t.Errorf("%s imports %s: services meet over HTTP and Kafka only", importer, imported)
			case to == "services" && !contains(mayImport[room], otherRoom):
				t.Errorf("%s imports %s: %s may not know %s", importer, imported, room, otherRoom)
			}
		}
	}
	if services == 0 {
		t.Error("no service was looked at")
	}
}

// place splits an import path of this module: the folder at the top, the service and
// the room, where they apply. What is not Souk's has no place.
func place(path string) (top, service, room string) {
	parts := strings.Split(path, "/")
	if parts[0] != "souk" || len(parts) < 2 {
		return "", "", ""
	}
	top = parts[1]
	if top == "services" && len(parts) > 2 {
		service = parts[2]
		if len(parts) > 3 {
			room = parts[3]
		}
	}
	return top, service, room
}

func contains(rooms []string, room string) bool {
	for _, r := range rooms {
		if r == room {
			return true
		}
	}
	return false
}
