package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// admin reads a page of an instance's admin port.
func admin(t *testing.T, addr, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// metric sums a metric over all of its labels; 0 if there is none.
func metric(t *testing.T, addr, name string) float64 {
	t.Helper()
	var sum float64
	lines := bufio.NewScanner(strings.NewReader(admin(t, addr, "/metrics")))
	for lines.Scan() {
		rest, found := strings.CutPrefix(lines.Text(), name)
		if !found || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndex(rest, " ")+1:], 64)
		if err != nil {
			t.Fatalf("metric %s: %v", name, err)
		}
		sum += value
	}
	return sum
}

func newClient() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
}

func TestPrometheusFindsEveryServiceThroughConsul(t *testing.T) {
	eventually(t, time.Minute, "targets of all services", func(ctx context.Context) error {
		for _, job := range apps {
			query := url.QueryEscape(`sum(up{job="` + job + `"}) and sum(http_server_request_duration_seconds_count{job="` + job + `"})`)
			body, err := call(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/api/v1/query?query=%s", env.Ports.Prometheus, query), nil)
			if err != nil {
				return err
			}
			var answer struct {
				Data struct {
					Result []struct{ Value [2]any }
				}
			}
			if err := json.Unmarshal(body, &answer); err != nil {
				return err
			}
			if len(answer.Data.Result) != 1 || answer.Data.Result[0].Value[1] != "1" {
				return fmt.Errorf("%s: %s", job, body)
			}
		}
		return nil
	})
}

// Every line that a service logs is JSON in the Elastic Common Schema, without secrets.
func TestServicesLogECSWithTheTraceOfTheRequest(t *testing.T) {
	p := seeded(t)[0]
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	header := map[string]string{"traceparent": "00-" + trace + "-00f067aa0ba902b7-01", "Authorization": "Bearer very-secret-token"}
	if status, _, err := fetch(http.DefaultClient, "GET", "/v1/products/"+p.ID, header, nil); err != nil || status != 200 {
		t.Fatalf("%d %v", status, err)
	}
	for _, job := range apps {
		eventually(t, 20*time.Second, job+" logs the request", func(context.Context) error {
			out := shell(t, "nomad alloc logs -namespace=souk -job "+job+" "+job)
			traced := false
			for line := range strings.Lines(out) {
				var entry map[string]any
				if err := json.Unmarshal([]byte(line), &entry); err != nil {
					return fmt.Errorf("not JSON: %s", line)
				}
				for _, field := range []string{"@timestamp", "log.level", "message", "ecs.version", "service.name"} {
					if entry[field] == nil {
						t.Errorf("%s: no %s in %s", job, field, line)
					}
				}
				traced = traced || entry["trace.id"] == trace
			}
			if strings.Contains(out, "very-secret-token") || strings.Contains(out, "hvs.") {
				t.Errorf("%s logs a secret", job)
			}
			if !traced {
				return fmt.Errorf("no line has trace.id %s", trace)
			}
			return nil
		})
	}
}
