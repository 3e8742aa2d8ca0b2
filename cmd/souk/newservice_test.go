package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"souk/stack"
)

// servingFiles is what new-service reads, copied to a folder of the test's own.
func servingFiles(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, folder := range []string{"cmd/souk/scaffold", "consul-config", "nomad", "terraform", "vault-policies"} {
		if err := os.CopyFS(filepath.Join(root, folder), os.DirFS(filepath.Join("../..", folder))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "services", "catalog"), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// tree is every file below root, with its content.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		name, relErr := filepath.Rel(root, path)
		files[name] = string(raw)
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// layOut makes a service and returns the files that are new.
func layOut(t *testing.T, root, name string) (made map[string]string, summary string) {
	t.Helper()
	before := tree(t, root)
	d, err := draftService(root, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.write(); err != nil {
		t.Fatal(err)
	}
	made = tree(t, root)
	for file, content := range before {
		if made[file] != content {
			t.Errorf("%s was changed", file)
		}
		delete(made, file)
	}
	return made, d.summary()
}

func TestANewServiceHasEverythingThatItNeedsToRun(t *testing.T) {
	root := servingFiles(t)
	made, summary := layOut(t, root, "tryout")
	want := []string{
		"nomad/apps/tryout.nomad.hcl", "vault-policies/tryout.hcl", "consul-config/acl/tryout.hcl",
		"consul-config/service-defaults/tryout.hcl", "consul-config/service-intentions/tryout.hcl",
	}
	environments, err := filepath.Glob("../../consul-config/kv/*")
	if err != nil || len(environments) < 2 {
		t.Fatalf("environments: %v, %v", environments, err)
	}
	for _, env := range environments {
		want = append(want, "consul-config/kv/"+filepath.Base(env)+"/tryout.yaml")
	}
	for _, file := range []string{"main.go", "config.go", "config_test.go", "service_test.go", "items_test.go", "openapi.go", "openapi.yaml", "app/item.go", "app/item_test.go",
		"app/items.go", "web/routes.go", "web/routes_test.go", "web/items.go", "store/store.go", "store/items.go", "store/migrations/00001_items.sql"} {
		want = append(want, "services/tryout/"+file)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(made)); !slices.Equal(got, want) {
		t.Errorf("made\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// Nothing in it may speak of what it was made from, except where people are sent there.
	others := regexp.MustCompile(`(?i)probe|scaffold|catalog|inventory|mongo|kafka`)
	for file, content := range made {
		if found := others.FindString(content); found != "" {
			t.Errorf("%s speaks of %s", file, found)
		}
		if !strings.Contains(summary, "made  "+file+"\n") {
			t.Errorf("the summary lacks %s", file)
		}
	}
}

func TestANewServiceMayDoWhatEveryServiceMayAndNoMore(t *testing.T) {
	made, _ := layOut(t, servingFiles(t), "tryout")
	for file, want := range map[string]string{
		"vault-policies/tryout.hcl": `path "database/creds/tryout", path "sys/leases/revoke/database/creds/tryout/*", ` +
			`path "pki/sign/tryout", path "secret/data/souk/tryout"`,
		"consul-config/acl/tryout.hcl":                `key "souk/${environment}/tryout", service "tryout", service "postgres", service "users", node_prefix ""`,
		"consul-config/service-intentions/tryout.hcl": `{ Name = "gateway", Action = "allow" }`,
	} {
		grants := regexp.MustCompile(`(?m)^(path|key|service|node_prefix)[^{]* "[^"]*"|\{ Name = .* \}`).FindAllString(made[file], -1)
		if got := strings.Join(grants, ", "); got != want {
			t.Errorf("%s grants\n%s\nwant\n%s", file, got, want)
		}
	}
}

func TestFilesThatAreThereStayAndWhatTheyLackIsSaid(t *testing.T) {
	root := servingFiles(t)
	made, summary := layOut(t, root, "search")
	for _, file := range []string{"vault-policies/search.hcl", "consul-config/acl/search.hcl", "consul-config/service-defaults/search.hcl", "consul-config/service-intentions/search.hcl"} {
		if _, ok := made[file]; ok || !strings.Contains(summary, "kept  "+file+"\n") {
			t.Errorf("%s: made %v, or the summary does not say that it was kept", file, ok)
		}
	}
	for _, lack := range []string{"vault-policies/search.hcl gives no PostgreSQL user", "consul-config/acl/search.hcl does not let it find PostgreSQL"} {
		if !strings.Contains(summary, lack) {
			t.Errorf("the summary lacks %q:\n%s", lack, summary)
		}
	}
	// These were made for a service with PostgreSQL.
	if _, summary := layOut(t, root, "orders"); !strings.Contains(summary, "Next:\n  1. make up") {
		t.Errorf("orders lacks something:\n%s", summary)
	}
}

func TestNamesThatCannotBeAreRefusedAndNothingIsWritten(t *testing.T) {
	root := servingFiles(t)
	before := tree(t, root)
	for name, why := range map[string]string{
		"": "letters", "r": "letters", "Returns": "letters", "re-turns": "letters", "re_turns": "letters", "9lives": "letters", "../x": "letters",
		"rücken": "letters", "a\nb": "letters", strings.Repeat("a", 31): "letters", "--help": "letters",
		"catalog": "services/catalog is there already", "gateway": "not under services/", "internal": "Go", "vendor": "Go", "testdata": "Go",
		"probe": "tests", "default": "policy", "root": "policy", "postgres": "server", "kafka": "server", "vault": "server",
	} {
		_, err := draftService(root, name)
		if err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if after := tree(t, root); !maps.Equal(before, after) {
		t.Error("something was written")
	}
}

func TestAFailureHalfWayLeavesNothing(t *testing.T) {
	root := servingFiles(t)
	d, err := draftService(root, "tryout")
	if err != nil {
		t.Fatal(err)
	}
	for _, obstacle := range []string{"vault-policies/tryout.hcl", "services/tryout/mine.go"} { // somebody was faster
		path := filepath.Join(root, obstacle)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("mine"), 0o600)); err != nil {
			t.Fatal(err)
		}
		before := tree(t, root)
		if err := d.write(); err == nil {
			t.Errorf("with %s in the way it succeeds", obstacle)
		}
		after := tree(t, root)
		if maps.DeleteFunc(after, func(file, content string) bool { return before[file] == content }); len(after) > 0 {
			t.Errorf("with %s in the way it leaves %v", obstacle, slices.Sorted(maps.Keys(after)))
		}
		if left, err := filepath.Glob(filepath.Join(root, ".new-service-*")); err != nil || len(left) > 0 {
			t.Errorf("%v is left, %v", left, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestANewServiceBuildsAndPassesItsChecks(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a whole service; -short leaves it out")
	}
	root := t.TempDir()
	copyCheckout(t, root)
	layOut(t, root, "tryout")
	in := func(stdin io.Reader, env []string, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Stdin, cmd.Env = root, stdin, append(append(os.Environ(), "GOFLAGS=-buildvcs=false"), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	if unformatted := in(nil, nil, "gofmt", "-l", "services/tryout"); unformatted != "" {
		t.Errorf("gofmt would change %s", unformatted)
	}
	program := filepath.Join(t.TempDir(), "tryout")
	in(nil, nil, "go", "build", "-o", program, "./services/tryout")
	in(nil, nil, "go", "vet", "./services/tryout/...")
	in(nil, nil, "go", "test", "-short", "./services/tryout/...")

	const service = "souk/services/tryout"
	mayImport := map[string]string{service: "app store web", service + "/app": "", service + "/store": "app", service + "/web": "app"}
	for line := range strings.Lines(in(nil, nil, "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./services/tryout/...")) {
		imports := strings.Fields(line)
		var rooms []string
		for _, imported := range imports[1:] {
			if room, ok := strings.CutPrefix(imported, service+"/"); ok {
				rooms = append(rooms, room)
			} else if strings.HasPrefix(imported, "souk/") && !strings.HasPrefix(imported, "souk/internal/") {
				t.Errorf("%s imports %s", imports[0], imported)
			}
		}
		if allowed, known := mayImport[imports[0]]; !known || strings.Join(rooms, " ") != allowed {
			t.Errorf("%s imports the rooms %v, want [%s]", imports[0], rooms, allowed)
		}
	}

	documents, err := filepath.Glob(filepath.Join(root, "consul-config", "kv", "*", "tryout.yaml"))
	if err != nil || len(documents) == 0 {
		t.Fatalf("documents: %v, %v", documents, err)
	}
	for _, document := range documents {
		raw, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		if effective := in(bytes.NewReader(raw), nil, program, "check-config"); !strings.Contains(effective, "page_size: 20") {
			t.Errorf("%s gives\n%s", document, effective)
		}
	}
	t.Run("the gateway takes the routes", func(t *testing.T) {
		routes := strings.ReplaceAll(gatewayRoutes, "$", "tryout")
		if out := in(strings.NewReader(routes), nil, "go", "run", "./gateway", "check-config"); !strings.Contains(out, "/v1/items/{id}") {
			t.Errorf("it makes of them\n%s", out)
		}
	})
	t.Run("Nomad takes the job", func(t *testing.T) {
		nomad := cachedNomad(t)
		in(nil, []string{"NOMAD_ADDR=http://127.0.0.1:9"}, nomad, "job", "validate", "nomad/apps/tryout.nomad.hcl")
		in(nil, nil, nomad, "fmt", "-check", "nomad/apps/tryout.nomad.hcl")
	})
}

// cachedNomad is the newest nomad that `souk build` has made.
func cachedNomad(t *testing.T) string {
	t.Helper()
	cache, err := stack.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(cache, "nomad-*", "nomad"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skip("nomad is not built yet: `make build` does it")
	}
	return found[len(found)-1]
}

// copyCheckout copies what Git has or would take.
func copyCheckout(t *testing.T, to string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Skipf("this is no checkout of Git: %v", err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(out), "\x00"), "\x00") {
		raw, err := os.ReadFile(filepath.Join("../..", name))
		if errors.Is(err, fs.ErrNotExist) { // deleted, but not yet in Git
			continue
		}
		target := filepath.Join(to, name)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, raw, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheCommandWantsOneName(t *testing.T) {
	for _, args := range [][]string{{}, {"a1", "b2"}} {
		cmd := newServiceCommand()
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.ExecuteContext(context.Background()); err == nil || !strings.Contains(err.Error(), "make new-service NAME=") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
