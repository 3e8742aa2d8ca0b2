package apidoc

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	"go.yaml.in/yaml/v3"
)

func all(string, string, string) bool { return true }

func merged(t *testing.T, routed func(source, method, path string) bool, sources ...Source) (Document, map[string]any) {
	t.Helper()
	d, err := Merge(Info{Title: "Whole", Version: "1"}, sources, routed)
	if err != nil {
		t.Fatal(err)
	}
	valid(t, d.JSON)
	var tree map[string]any
	if err := json.Unmarshal(d.JSON, &tree); err != nil {
		t.Fatal(err)
	}
	var same map[string]any
	if err := yaml.Unmarshal(d.YAML, &same); err != nil {
		t.Fatal(err)
	}
	return d, tree
}

// valid has a library that knows OpenAPI build its model: every reference leads somewhere.
func valid(t *testing.T, text []byte) {
	t.Helper()
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if _, problems := document.BuildV3Model(); problems != nil {
		t.Fatalf("%v\n%.2000s", problems, text)
	}
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	for _, ref := range regexp.MustCompile(`"\$ref":"#/([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
		at := root
		for part := range strings.SplitSeq(ref[1], "/") {
			m, _ := at.(map[string]any)
			if at = m[part]; at == nil {
				t.Errorf("%s leads nowhere", ref[0])
				break
			}
		}
	}
}

const one = `
openapi: 3.1.0
info: {title: One, version: 1.0.0, description: About one.}
security: [{token: []}]
tags: [{name: things, description: Of one}, {name: unused}]
paths:
  /v1/things/{id}:
    parameters: [{$ref: '#/components/parameters/Id'}]
    get:
      tags: [things]
      operationId: read
      responses: &answers
        '200': {description: It, content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}, example: {operationId: read, n: 0x10, at: 2026-01-02}}}}
        default: {$ref: '#/components/responses/Problem'}
  /internal/things:
    get: {operationId: internal, responses: {'200': {description: It, content: {application/json: {schema: {$ref: '#/components/schemas/Secret'}}}}}}
components:
  securitySchemes: {token: {type: http, scheme: bearer}}
  parameters: {Id: {name: id, in: path, required: true, schema: {type: string}}}
  responses: {Problem: {description: No, content: {application/problem+json: {schema: {$ref: '#/components/schemas/Problem'}}}}}
  schemas:
    Thing:
      type: object
      properties: {security: {$ref: '#/components/schemas/Deep'}, default: {type: string}, tags: {type: array, items: {type: string}}}
      oneOf: [{$ref: '#/components/schemas/Deep'}]
      discriminator: {propertyName: kind, mapping: {deep: Deep, same: '#/components/schemas/Deep'}}
    Deep: {type: object, properties: {kind: {type: string}}}
    Secret: {type: object}
    Problem: {type: object, title: of one}
`

var two = strings.NewReplacer("One", "Two", "of one", "of two", "Of one", "Of two", "scheme: bearer", "scheme: basic", "/v1/things/{id}", "/v1/others/{id}").Replace(one)

func TestNamesOfDifferentDocumentsStayApart(t *testing.T) {
	d, tree := merged(t, func(_, _, path string) bool { return !strings.HasPrefix(path, "/internal") }, Source{"one", []byte(one)}, Source{"two", []byte(two)})
	text := string(d.JSON)
	for _, want := range []string{
		`"operationId":"read"`, `"operationId":"two.read"`, `"one.Problem":{"type":"object","title":"of one"}`, `"two.Problem":{"type":"object","title":"of two"}`,
		`"deep":"#/components/schemas/two.Deep"`, `"tags":["things"]`, `"tags":["two: things"]`, `{"name":"two: things","description":"Of two"}`,
		`"security":[{"token":[]}]`, `"security":[{"two.token":[]}]`, `"example":{"operationId":"read","n":16,"at":"2026-01-02"}`, `## Two`, `About one.`,
		`"parameters":[{"$ref":"#/components/parameters/one.Id"}]`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %s:\n%s", want, text)
		}
	}
	for _, not := range []string{"internal", "Secret", "unused"} {
		if strings.Contains(text, not) {
			t.Errorf("it tells of %s", not)
		}
	}
	if paths := tree["paths"].(map[string]any); len(paths) != 2 || len(d.Skipped) != 0 {
		t.Errorf("%v %v", paths, d.Skipped)
	}
}

func TestOnePathMayBelongToTwoServices(t *testing.T) {
	post := strings.NewReplacer("/v1/things/{id}", "/v1/things/{id}", "    get:\n      tags", "    post:\n      tags").Replace(one)
	d, tree := merged(t, all, Source{"one", []byte(one)}, Source{"post", []byte(post)}, Source{"again", []byte(one)}, Source{"renamed", []byte(strings.ReplaceAll(one, "{id}", "{other}"))})
	item := tree["paths"].(map[string]any)["/v1/things/{id}"].(map[string]any)
	if item["get"] == nil || item["post"] == nil || len(item) != 2 {
		t.Errorf("%v", item)
	}
	// internal of post; both of again; and of renamed.
	if len(d.Skipped) != 5 || !strings.Contains(strings.Join(d.Skipped, "\n"), "other parameter names") {
		t.Errorf("skipped: %q", d.Skipped)
	}
}

func TestWhatIsNoDocumentIsRefused(t *testing.T) {
	bomb := "openapi: 3.1.0\na: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'k'; i++ {
		p := string(i - 1)
		bomb += string(i) + ": &" + string(i) + " [" + strings.Repeat("*"+p+",", 9) + "*" + p + "]\n"
	}
	for _, text := range []string{"", "[]", "x", "openapi: 3.0.3\npaths: {}", "openapi: 3.1.0\npaths: []", "{", "swagger: '2.0'", "openapi: 3.1.0\n? [a]\n: b", bomb, "a: &a [*a]"} {
		if Check([]byte(text)) == nil {
			t.Errorf("%.60q is taken for a document", text)
		}
	}
}

// The documents of all services, as they are now.
func TestTheServicesDocumentsMakeOne(t *testing.T) {
	files, err := filepath.Glob("../../services/*/openapi.yaml")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	var sources []Source
	operations := 0
	public := func(_, _, path string) bool {
		return strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/oauth2/")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in := false
		for line := range strings.Lines(string(text)) {
			if path, ok := strings.CutPrefix(line, "  /"); ok {
				in = public("", "", "/"+path)
			}
			if in && regexp.MustCompile(`^    (get|put|post|delete|patch):`).MatchString(line) {
				operations++
			}
		}
		sources = append(sources, Source{filepath.Base(filepath.Dir(file)), text})
	}
	d, tree := merged(t, public, sources...)
	if len(d.Skipped) > 0 {
		t.Errorf("skipped: %q", d.Skipped)
	}
	got, ids := 0, []string{}
	for _, item := range tree["paths"].(map[string]any) {
		for _, op := range item.(map[string]any) {
			got++
			ids = append(ids, op.(map[string]any)["operationId"].(string))
		}
	}
	slices.Sort(ids)
	if got != operations || len(slices.Compact(ids)) != got {
		t.Errorf("%d operations of %d, %d ids", got, operations, len(slices.Compact(ids)))
	}
	t.Logf("%d operations, %d KiB of JSON", got, len(d.JSON)>>10)
}
