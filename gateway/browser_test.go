package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const document = `openapi: 3.1.0
info: {title: The things of the test, version: "1", description: Just for it.}
paths:
  /v1/things:
    get:
      operationId: listThings
      summary: Lists the things
      responses: {"200": {description: All of them}}
`

// What the policy forbids shows in a browser only.
func TestTheDocumentationWorksInABrowserUnderItsPolicy(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not on PATH")
	}
	consul, service := realConsul(t), uniqueName()
	startInstance(t, consul, service, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = io.WriteString(w, document)
	}))
	cfg := testConfig(service)
	cfg.APIs = []API{{Name: "things", Service: service, Path: "/openapi.yaml"}}
	g := startGateway(t, consul, cfg)
	g.knows(t, service, 1)
	eventually(t, "the whole document", func() bool { return strings.Contains(call(t, "GET", g.url+"/openapi.json", "").text, "listThings") })

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args := []string{"--headless", "--disable-gpu", "--no-first-run", "--user-data-dir=" + t.TempDir(), "--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom", g.url + "/docs/#/default/listThings"}
	if os.Getuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...)
	}
	cmd := exec.CommandContext(ctx, chromium, args...)
	var page, console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &page, &console
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, console.String())
	}
	for _, want := range []string{"The things of the test", "Lists the things", "All of them"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	for line := range strings.Lines(console.String()) {
		if strings.Contains(line, ":CONSOLE") {
			t.Errorf("the console says: %s", line)
		}
	}
}
