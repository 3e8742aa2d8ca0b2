package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/services/payments/app"
)

// TestWebhookEndpointsOverTheAPI goes through the whole program; every answer is checked against openapi.yaml.
func TestWebhookEndpointsOverTheAPI(t *testing.T) {
	s := start(t)
	token := s.issuer.Scoped("payments:write")
	call := func(method, path, body, match string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		if method == http.MethodPatch {
			req.Header.Set("Content-Type", "application/merge-patch+json")
		}
		if match != "" {
			req.Header.Set("If-Match", match)
		}
		res, err := s.gateway.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(text)
	}
	const list, good = "/v1/webhook-endpoints", `{"url":"https://erp.example/hook","events":["souk.orders.*"]}`
	res, text := call(http.MethodPost, list, good, "") //nolint:bodyclose // call has closed it
	var made struct {
		app.WebhookEndpoint
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal([]byte(text), &made); err != nil || res.StatusCode != http.StatusCreated || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("created: %d %s", res.StatusCode, text)
	}
	one := list + "/" + made.ID.String()
	steps := []struct {
		method, path, body, match string
		status                    int
	}{
		{http.MethodPost, list, `{"url":"http://erp.example/hook","events":["*"]}`, "", 422}, // the configuration wants https
		{http.MethodPost, list, `{"url":"https://127.0.0.1/","events":["*"]}`, "", 422},
		{http.MethodPost, list, `{"url":"https://erp.example/","events":["*"],"status":"enabled"}`, "", 400},
		{http.MethodGet, list, "", "", 200},
		{http.MethodGet, one, "", "", 200},
		{http.MethodGet, list + "/" + uuid.NewString(), "", "", 404},
		{http.MethodGet, list + "/1%20OR%201=1", "", "", 404},
		{http.MethodPatch, one, `{"status":"disabled"}`, "", 428},
		{http.MethodPatch, one, `{"status":"disabled"}`, `"7"`, 412},
		{http.MethodPatch, one, `{"status":"deleted"}`, `"1"`, 422},
		{http.MethodPatch, one, `{"url":null}`, `"1"`, 422},
		{http.MethodPatch, one, `{"status":"disabled"}`, `"1"`, 200},
		{http.MethodPost, one + "/rotate-secret", "", "", 200},
		{http.MethodPost, one + "/rotate-secret", `{"overlap_seconds":9223372036854775807}`, "", 422},
		{http.MethodPost, one + "/rotate-secret", `{"overlap_seconds":-1}`, "", 422},
		{http.MethodGet, one + "/deliveries?status=failed", "", "", 200},
		{http.MethodGet, one + "/deliveries?cursor=x", "", "", 400},
		{http.MethodPost, one + "/deliveries/" + uuid.NewString() + "/redeliver", "", "", 409},
		{http.MethodPatch, one, `{"status":"enabled"}`, "*", 200},
		{http.MethodPost, one + "/deliveries/" + uuid.NewString() + "/redeliver", "", "", 404},
		{http.MethodDelete, one, "", "", 428},
		{http.MethodDelete, one, "", "*", 204},
		{http.MethodDelete, one, "", "*", 404},
		{http.MethodGet, one + "/deliveries", "", "", 404},
	}
	for _, step := range steps {
		res, text := call(step.method, step.path, step.body, step.match) //nolint:bodyclose // call has closed it
		if res.StatusCode != step.status {
			t.Errorf("%s %s %s: %d %s, want %d", step.method, step.path, step.body, res.StatusCode, text, step.status)
		}
		if strings.Contains(text, made.Secret) {
			t.Errorf("%s %s tells the secret again", step.method, step.path)
		}
	}
	token = s.issuer.Scoped("orders")
	if res, text := call(http.MethodPost, list, good, ""); res.StatusCode != http.StatusForbidden { //nolint:bodyclose // call has closed it
		t.Errorf("without the scope: %d %s", res.StatusCode, text)
	}
}
