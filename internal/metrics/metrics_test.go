package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func scrape(r *Registry) string {
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestTwoRegistriesKnowNothingOfEachOther(t *testing.T) {
	a, b := New("catalog", "1"), New("orders", "2")
	NewHTTPServer(a).Panicked()
	NewHTTPServer(b)
	if text := scrape(a); !strings.Contains(text, `souk_build_info{go_version="go`) || !strings.Contains(text, `service="catalog",version="1"} 1`) ||
		!strings.Contains(text, "http_server_panics_total 1\n") || !strings.Contains(text, "process_resident_memory_bytes") || !strings.Contains(text, "go_goroutines") {
		t.Error(text)
	}
	if text := scrape(b); strings.Contains(text, "catalog") || !strings.Contains(text, "http_server_panics_total 0\n") {
		t.Error(text)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	r := New("catalog", "1")
	h := NewHTTPServer(r)
	for _, method := range []string{"GET", "BREW", "get", "", "GET\n"} {
		for _, status := range []int{-1, 0, 99, 100, 200, 304, 404, 503, 600, 999} {
			h.Start()
			h.End(method, "/v1/products/:id", status, time.Millisecond)
		}
	}
	h.Refused("body-too-large")
	h.Connection(2)
	h.Connection(-1)
	text := scrape(r)
	if n := strings.Count(text, "http_server_request_duration_seconds_count"); n != 2*6 {
		t.Errorf("%d series:\n%s", n, text)
	}
	for _, want := range []string{
		`http_server_request_duration_seconds_count{method="other",route="/v1/products/:id",status="4xx"} 4`, "http_server_active_requests 0\n",
		`http_server_refused_total{reason="body-too-large"} 1`, "http_server_connections 1\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}
