package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/internal/config"
)

func TestTheDefaultsLackNothingButRoutes(t *testing.T) {
	c := Defaults()
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "routes: name at least one") || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
	c.Routes = []Route{{Path: "/v1/a", Methods: []string{"GET"}, Service: "s", Public: true}}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTheRepositorysConfigurationsAreValid(t *testing.T) {
	files, err := filepath.Glob("../consul-config/kv/*/gateway.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse[Config](raw, Defaults()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestAProblemSaysWhereItIsAndWhatToChange(t *testing.T) {
	for document, want := range map[string]string{
		`listen: {body_limit: 0}`:                                               `listen.body_limit: 0 is out of range; use 1024 to 67108864`,
		`listen: {read_timeout: 1h}`:                                            `listen.read_timeout: 1h0m0s is out of range; use 100ms to 5m0s`,
		`listen: {drain_delay: 20s}`:                                            `listen.drain_timeout: 15s is out of range; use 20s to 5m0s`,
		`upstream: {timeout: -1s}`:                                              `upstream.timeout: -1s is out of range`,
		`upstream: {connections: 0}`:                                            `upstream.connections: 0 is out of range`,
		`cors: {origins: ["*"]}`:                                                `cors.origins[0]: "*" is not an origin; write https://host`,
		`cors: {origins: ["https://a.example/"]}`:                               `cors.origins[0]`,
		`cors: {origins: ["https://*.example"]}`:                                `cors.origins[0]`,
		`cors: {origins: ["https://A.example"]}`:                                `cors.origins[0]`,
		`cors: {origins: ["null"]}`:                                             `cors.origins[0]`,
		`routes: [{}]`:                                                          `routes[0].path: "" must start with /`,
		`routes: [{path: v1}]`:                                                  `routes[0].path: "v1" must start with /`,
		`routes: [{path: /}]`:                                                   `routes[0].path: "/" is the gateway's own`,
		`routes: [{path: /a/}]`:                                                 `routes[0].path: "/a/" has an empty segment; remove the double or last /`,
		`routes: [{path: /a/../b}]`:                                             `has a dot segment`,
		`routes: [{path: "/a/x{id}"}]`:                                          `has a malformed parameter; one is a whole segment: {name}`,
		`routes: [{path: "/a/{id}/{id}"}]`:                                      `has the parameter {id} twice`,
		`routes: [{path: "/a/%41"}]`:                                            `has a character that can't stand in a path`,
		`routes: [{path: /a, service: s}]`:                                      `routes[0].methods: name at least one of GET, POST, PUT, PATCH, DELETE`,
		`routes: [{path: /a, methods: [get]}]`:                                  `routes[0].methods: "get" is unknown; use GET`,
		`routes: [{path: /a, methods: [HEAD]}]`:                                 `HEAD and OPTIONS come by themselves`,
		`routes: [{path: /a, methods: [GET, GET]}]`:                             `routes[0].methods: GET is there twice; remove one`,
		`routes: [{path: /a, methods: [GET]}]`:                                  `routes[0].service: "" is not the name of a service`,
		`routes: [{path: /a, methods: [GET], service: "../x"}]`:                 `routes[0].service: "../x" is not the name of a service; use`,
		`routes: [{path: /a, methods: [GET], service: gateway}]`:                `routes[0].service: the gateway can't route to itself`,
		`routes: [{path: /a, methods: [GET], service: s, timeout: 1h}]`:         `routes[0].timeout: 1h0m0s is out of range`,
		`routes: [{path: /a, methods: [GET], service: s, body_limit: 2000000}]`: `routes[0].body_limit: 2000000 is out of range; use 1 to 1048576`,
		`apis: [{name: A, service: s, path: /x}]`:                               `apis[0].name: "A": use lower-case letters`,
		`apis: [{name: a, service: s, path: "/{x}"}]`:                           `apis[0].path: "/{x}" has a parameter; name one document`,
		`{routes: [{path: /a, methods: [GET], service: s, public: true}], apis: [{name: a, service: s, path: /x}, {name: a, service: s, path: /y}]}`: `apis[1].name: a is the name of apis[0] already; rename one`,
		`routes: [{path: /a, methods: [GET], service: s, weight: 1}]`:                                                                                `weight`,
		`routes: [{path: /a, methods: [GET], service: s, timeout: 5}]`:                                                                               `5`,
		`routes: [{path: /a, methods: [GET, PUT], service: s}]`:                                                                                      `routes[0]: GET, PUT /a does not say who may use it; write public: true (everybody), scopes: [`,
		`routes: [{path: /a, methods: [GET], service: s, public: true, scopes: [a]}]`:                                                                `routes[0]: GET /a says in several ways who may use it; keep one of public, scopes and authenticated`,
		`routes: [{path: /a, methods: [GET], service: s, authenticated: true, scopes: [a]}]`:                                                         `keep one of public`,
		`routes: [{path: /a, methods: [GET], service: s, public: false}]`:                                                                            `does not say who`,
		`routes: [{path: /a, methods: [GET], service: s, scopes: []}]`:                                                                               `does not say who`,
		`routes: [{path: /a, methods: [GET], service: s, scopes: ["a b"]}]`:                                                                          `routes[0].scopes: "a b" is no scope`,
		`routes: [{path: /a, methods: [GET], service: s, scopes: [a, a]}]`:                                                                           `routes[0].scopes: a is there twice; remove one`,
		`routes: [{path: /internal/revocations, methods: [GET], service: s, public: true}]`:                                                          `routes[0].path: /internal/revocations: what is below /internal is for services only`,
		`{routes: [{path: /a, methods: [GET], service: s, public: true}], apis: [{name: a, service: s, path: /internal/x}]}`:                         `apis[0].path: what is below /internal`,
		`log_level: loud`: `loud`,
	} {
		if _, err := config.Parse[Config]([]byte(document), Defaults()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got  %v\n want %s", document, err, want)
		}
	}
}

func TestEveryProblemIsNamedAtOnce(t *testing.T) {
	_, err := config.Parse[Config]([]byte("listen: {body_limit: 0}\nroutes: [{path: v1, methods: [get], service: A}]\napis: [{name: A}]"), Defaults())
	for _, want := range []string{"listen.body_limit", "routes[0].path", "routes[0].methods", "routes[0].service", "apis[0].name", "apis[0].service", "apis[0].path"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
}

func TestADocumentIsLaidOverTheDefaults(t *testing.T) {
	c, err := config.Parse[Config]([]byte("log_level: debug\nupstream: {timeout: 1500ms}\nroutes: [{path: /a, methods: [GET], service: s, public: true}]"), Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if c.Upstream.Timeout != 1500*time.Millisecond || c.Upstream.Connections != Defaults().Upstream.Connections || c.LogLevel >= 0 || len(c.Routes) != 1 {
		t.Errorf("%+v", c)
	}
}
