package main

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTheDocumentationIsServedFromTheProgramItself(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = io.WriteString(w, "openapi: 3.1.0 # "+r.RequestURI)
	}))
	cfg := testConfig(service)
	cfg.APIs = []API{{Name: "things", Service: service, Path: "/openapi.yaml"}}
	g := startGateway(t, consul, cfg)
	g.knows(t, service, 1)

	a := call(t, "GET", g.url+"/", "")
	var index struct {
		Docs string
		APIs []struct{ Name, Document string }
	}
	if err := json.Unmarshal([]byte(a.text), &index); err != nil || index.Docs != "/docs/" || len(index.APIs) != 1 || index.APIs[0].Document != "/openapi/things.yaml" {
		t.Errorf("index: %s %v", a.text, err)
	}
	if a = call(t, "GET", g.url+index.APIs[0].Document+"?x=1", ""); a.text != "openapi: 3.1.0 # /openapi.yaml" || a.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("document: %s %q %v", a.Status, a.text, a.Header)
	}
	if a = call(t, "GET", g.url+"/docs", ""); a.StatusCode != 308 || a.Header.Get("Location") != "/docs/" {
		t.Errorf("/docs: %s %v", a.Status, a.Header)
	}
	page := call(t, "GET", g.url+"/docs/", "")
	if page.StatusCode != 200 || page.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(page.text, `href="/openapi/things.yaml"`) {
		t.Errorf("page: %s %v %s", page.Status, page.Header, page.text)
	}
	policy := page.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "script-src 'self';") || strings.Contains(policy, "unsafe") || strings.Contains(page.text, "<script>") {
		t.Errorf("policy %q", policy)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.text, -1) {
		if !strings.HasPrefix(m[1], "/") || strings.HasPrefix(m[1], "//") {
			t.Errorf("%s is from elsewhere", m[1])
			continue
		}
		a := call(t, "GET", g.url+m[1], "")
		if a.StatusCode != 200 || a.text == "" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s, %d bytes", m[1], a.Status, len(a.text))
		}
		if strings.HasPrefix(m[1], "/openapi/") {
			continue
		}
		if again := call(t, "GET", g.url+m[1], "", "If-None-Match", a.Header.Get("ETag")); again.StatusCode != 304 || again.text != "" {
			t.Errorf("%s again: %s", m[1], again.Status)
		}
		if head := call(t, "HEAD", g.url+m[1], ""); head.ContentLength != int64(len(a.text)) || head.text != "" {
			t.Errorf("HEAD %s: %d", m[1], head.ContentLength)
		}
	}
	for _, path := range []string{"/docs/index.html", "/docs/swagger-ui-bundle.js.map", "/docs/..%2fmain.go", "/docs/x"} {
		if a := call(t, "GET", g.url+path, ""); a.StatusCode != 404 && a.StatusCode != 400 {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	if a := call(t, "POST", g.url+"/docs/", ""); a.problem(t).Status != 405 || a.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("POST: %s, Allow: %s", a.Status, a.Header.Get("Allow"))
	}
}

func TestOnlyConfiguredOriginsMayCallFromABrowser(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // not the services' to say
		w.Header().Set("Vary", "Accept")
	}))
	cfg := testConfig(service)
	g := startGateway(t, consul, cfg)
	g.knows(t, service, 1)
	const origin = "https://shop.example"
	preflight := func(origin string) answer {
		return call(t, "OPTIONS", g.url+"/v1/things", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
	}
	allowed := func(a answer) string { return a.Header.Get("Access-Control-Allow-Origin") }
	if a := preflight(origin); allowed(a) != "" {
		t.Errorf("allowed without being configured: %v", a.Header)
	}
	cfg.CORS.Origins = []string{origin}
	if err := g.apply(g.ctx, &cfg); err != nil {
		t.Fatal(err)
	}
	if a := preflight(origin); a.StatusCode != 204 || allowed(a) != origin || !strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "PATCH") || a.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %s %v", a.Status, a.Header)
	}
	a := call(t, "GET", g.url+"/v1/things", "", "Origin", origin)
	if allowed(a) != origin || len(a.Header["Access-Control-Allow-Origin"]) != 1 || !strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Errorf("GET: %v", a.Header)
	}
	if vary := strings.Join(a.Header["Vary"], ", "); !strings.Contains(vary, "Origin") || !strings.Contains(vary, "Accept") {
		t.Errorf("Vary: %s", vary)
	}
	for _, other := range []string{"https://evil.example", "https://shop.example.evil.example", "http://shop.example", "https://shop.example:444", "null"} {
		if a := preflight(other); allowed(a) != "" {
			t.Errorf("preflight of %s: %v", other, a.Header)
		}
		if a := call(t, "GET", g.url+"/v1/things", "", "Origin", other); allowed(a) != "" {
			t.Errorf("GET of %s: %v", other, a.Header)
		}
	}
	if a := call(t, "GET", g.url+"/v1/none", "", "Origin", origin); a.StatusCode != 404 || allowed(a) != origin {
		t.Errorf("a problem must be readable too: %s %v", a.Status, a.Header)
	}
}

func TestStoppingFinishesWhatIsUnderWay(t *testing.T) {
	consul, service := realConsul(t), uniqueName()
	entered := make(chan struct{}, 100)
	startInstance(t, consul, service, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		time.Sleep(700 * time.Millisecond)
		_, _ = io.WriteString(w, "done")
	}))
	g := startGateway(t, consul, testConfig(service))
	g.knows(t, service, 1)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			a, err := try(t.Context(), plainClient, "POST", g.url+"/v1/things", "{}")
			if err != nil || a.StatusCode != 200 || a.text != "done" {
				t.Errorf("%v %v", a, err)
			}
		})
	}
	for range 20 {
		<-entered
	}
	g.stop()
	wg.Wait()
	if _, err := try(t.Context(), plainClient, "GET", g.url+"/", ""); err == nil {
		t.Error("it still listens")
	}
}
