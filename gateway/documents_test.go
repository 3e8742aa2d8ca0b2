package main

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestTheWholeDocumentFollowsTheServicesAndOutlivesThem(t *testing.T) {
	consul, things, others := realConsul(t), uniqueName(), uniqueName()
	text := func(path, id string) string {
		return "openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths:\n  " + path + ":\n    get: {operationId: " + id + ", responses: {'200': {description: Yes, content: {application/json: {schema: {$ref: '#/components/schemas/Same'}}}}}}\n" +
			"  /internal/x:\n    get: {operationId: secret, responses: {}}\ncomponents: {schemas: {Same: {title: " + id + "}}}\n"
	}
	var now atomic.Value
	now.Store(text("/v1/things/{thing}", "first"))
	startInstance(t, consul, things, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, now.Load().(string)) }))
	other := startInstance(t, consul, others, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, text("/v1/others", "other"))
	}))
	cfg := testConfig(things)
	cfg.Routes = append(cfg.Routes, Route{Path: "/v1/others", Methods: []string{"GET", "POST"}, Service: others, Public: true})
	cfg.APIs = []API{{Name: "things", Service: things, Path: "/openapi.yaml"}, {Name: "others", Service: others, Path: "/openapi.yaml"}}
	g := startGateway(t, consul, cfg)
	whole := func() string { return call(t, "GET", g.url+"/openapi.json", "").text }
	has := func(what string, parts ...string) {
		t.Helper()
		eventually(t, what, func() bool {
			g.documents.changed()
			got := whole()
			for _, p := range parts {
				if !strings.Contains(got, p) {
					return false
				}
			}
			return true
		})
	}
	has("both", `"/v1/things/{thing}":{"get":`, `"/v1/others":{"get":`, `"things.Same":{"title":"first"}`, `"others.Same":{"title":"other"}`)
	if strings.Contains(whole(), "secret") {
		t.Error("it tells what is not routed")
	}
	a := call(t, "GET", g.url+"/openapi.yaml", "")
	if !strings.HasPrefix(a.text, "openapi: 3.1.0\n") || a.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%v %.100s", a.Header, a.text)
	}
	if again := call(t, "GET", g.url+"/openapi.json", "", "If-None-Match", a.Header.Get("ETag")); again.StatusCode != 304 {
		t.Errorf("again: %s", again.Status)
	}
	now.Store(text("/v1/things/{thing}", "second"))
	has("the change", `"operationId":"second"`, `"operationId":"other"`)

	// What is away, or nonsense, is as it was; so it is after a new start.
	now.Store("openapi: nonsense")
	other.deregister()
	other.kill()
	g.knows(t, others, 0)
	g.documents.changed()
	eventually(t, "the log says so", func() bool { return strings.Count(g.log.String(), "an OpenAPI document can't be had") >= 2 })
	has("the last good", `"operationId":"second"`, `"operationId":"other"`)
	later := newDocuments(g.stateDir, g.gateway.log)
	later.recall("things")
	later.recall("others")
	later.make(&cfg)
	if got := string(later.whole.Load().json); got != whole() {
		t.Errorf("after a new start: %s", got)
	}

	// Routes decide what is in it.
	next := cfg
	next.Routes = cfg.Routes[:2]
	if err := g.apply(g.ctx, &next); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the route has gone", func() bool { return !strings.Contains(whole(), "others") })
}
