package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func routesOf(patterns ...string) Config {
	c := Defaults()
	for _, p := range patterns {
		c.Routes = append(c.Routes, Route{Path: p, Methods: []string{"GET"}, Service: "s", Public: true})
	}
	return c
}

func TestThePathDecidesTheRoute(t *testing.T) {
	c := routesOf("/v1/a", "/v1/a/{id}", "/v1/a/special", "/v1/a/{id}/b", "/v1/a/special/c", "/v1/{kind}/x/y", "/.well-known/server")
	tab, err := buildTable(&c)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/v1/a": "/v1/a", "/v1/a/1": "/v1/a/{id}", "/v1/a/special": "/v1/a/special", "/v1/a/special/c": "/v1/a/special/c",
		"/v1/a/special/b": "/v1/a/{id}/b", // back from the literal
		"/v1/a/1/b":       "/v1/a/{id}/b", "/v1/q/x/y": "/v1/{kind}/x/y", "/v1/a/x/y": "/v1/{kind}/x/y", "/.well-known/server": "/.well-known/server",
		"/": "", "": "", "*": "", "/v1": "", "/v1/": "", "/v1/a/": "", "/v1/a/1/": "", "/v1/a/1/b/": "", "/v1/A": "", "/v1/a/1/c": "", "v1/a": "",
	} {
		got := ""
		if r := tab.find([]byte(path)); r != nil {
			got = r.pattern
		}
		if got != want {
			t.Errorf("%q goes to %q, want %q", path, got, want)
		}
	}
}

func TestARouteHasItsOwnLimitsOrTheCommonOnes(t *testing.T) {
	c := routesOf("/v1/a")
	c.Routes[0].Methods = []string{"GET", "POST"}
	c.Routes = append(c.Routes, Route{Path: "/v1/a", Methods: []string{"DELETE"}, Service: "other", Timeout: time.Minute, BodyLimit: 5, Authenticated: true})
	c.APIs = []API{{Name: "x", Service: "third", Path: "/openapi.yaml"}}
	tab, err := buildTable(&c)
	if err != nil {
		t.Fatal(err)
	}
	r := tab.find([]byte("/v1/a"))
	if r.allow != "DELETE, GET, HEAD, POST" || r.routes["HEAD"] != r.routes["GET"] {
		t.Errorf("Allow: %s", r.allow)
	}
	if got := r.routes["GET"]; got.service != "s" || got.timeout != c.Upstream.Timeout || got.bodyLimit != c.Listen.BodyLimit {
		t.Errorf("GET: %+v", got)
	}
	if got := r.routes["DELETE"]; got.service != "other" || got.timeout != time.Minute || got.bodyLimit != 5 {
		t.Errorf("DELETE: %+v", got)
	}
	if got := tab.find([]byte("/openapi/x.yaml")).routes["GET"]; got.service != "third" || got.document != "/openapi.yaml" {
		t.Errorf("document: %+v", got)
	}
	if !slices.Equal(tab.services, []string{"other", "s", "third"}) {
		t.Errorf("services: %v", tab.services)
	}
}

func TestTablesThatLeaveADoubtAreRefused(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		problem  string // "" for none
	}{
		{[]string{"/a/b", "/a/{x}"}, ""},
		{[]string{"/a/{x}", "/a/{x}/b"}, ""},
		{[]string{"/a/{x}/b", "/a/{y}/c"}, ""},
		{[]string{"/a/b/{x}", "/a/{x}/c/d"}, ""},
		{[]string{"/a/b", "/a/b"}, "routes[1]: GET /a/b is routed already by routes[0]"},
		{[]string{"/a/{x}", "/a/{y}"}, "routes[1].path: /a/{y} matches the same paths with other parameter names as /a/{x} of routes[0]"},
		{[]string{"/a/{x}/c", "/a/b/{y}"}, "routes[1].path: /a/b/{y} matches some of the same paths, and neither is the special case, as /a/{x}/c of routes[0]"},
		{[]string{"/docs/x"}, "routes[0].path: /docs/x would hide the gateway's own"},
		{[]string{"/openapi/x.yaml"}, "would hide"},
		{[]string{"/{x}/a"}, "would hide"},
	} {
		config := routesOf(c.patterns...)
		err := config.Validate()
		if c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%q: %v, want %q", c.patterns, err, c.problem)
		}
	}
}
