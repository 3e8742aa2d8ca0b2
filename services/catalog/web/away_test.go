package web_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"souk/services/catalog/app"
	"souk/services/catalog/store"
)

// silent takes connections and says nothing; absent refuses them.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func absent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return l.Addr().String()
}

// atMost is what an answer may take: the 1.8 s of RequestTimeout, and what a machine that
// is busy with other tests adds.
const atMost = 4 * time.Second

func TestWithoutADatabaseEveryRouteAnswers503InTime(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for deadlines; -short leaves it out")
	}
	for name, address := range map[string]string{"absent": absent(t), "silent": silent(t)} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), store.Options{URI: "mongodb://" + address, Database: "x"})
			if err != nil {
				t.Fatal(err)
			}
			a := serveOn(t, app.New(s, settings))
			calls := []call{
				{method: "GET", path: "/v1/products"}, {method: "GET", path: "/v1/products?category=x"}, {method: "GET", path: "/v1/categories"},
				{method: "GET", path: "/v1/categories/x"}, {method: "POST", path: "/v1/products", body: productBody("x")},
				{method: "POST", path: "/v1/products", body: productBody("x"), headers: map[string]string{"Idempotency-Key": "k"}},
				{method: "PATCH", path: "/v1/products/x", body: `{"title":"x"}`, headers: ifMatch(`"1"`)}, {method: "DELETE", path: "/v1/products/x", headers: ifMatch(`"1"`)},
				{method: "POST", path: "/v1/categories", body: `{"slug":"x","name":"x"}`}, {method: "DELETE", path: "/v1/categories/x", headers: ifMatch(`"1"`)},
			}
			for range 10 { // equal reads, which wait for one another
				calls = append(calls, call{method: "GET", path: "/v1/products/x"})
			}
			results := make(chan string, len(calls))
			for i, c := range calls {
				go func() {
					time.Sleep(time.Duration(i) * 20 * time.Millisecond)
					began := time.Now()
					got, err := a.try(c)
					took := time.Since(began)
					switch {
					case err != nil:
						results <- fmt.Sprint(c.method, " ", c.path, ": ", err)
					case got.StatusCode != 503 || got.Header.Get("Retry-After") == "" || took > atMost:
						results <- fmt.Sprintf("%s %s: %s after %s: %s", c.method, c.path, got.Status, took, got.body)
					default:
						results <- ""
					}
				}()
			}
			for range calls {
				if problem := <-results; problem != "" {
					t.Error(problem)
				}
			}
		})
	}
}
