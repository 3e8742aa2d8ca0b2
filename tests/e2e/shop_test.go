package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func TestUpEndsWithASeededShopBehindTheGateway(t *testing.T) {
	products := seeded(t)
	if len(products) < 200 {
		t.Errorf("the shop has %d products, want at least 200", len(products))
	}
	slugs := map[string]bool{}
	for _, p := range products {
		if slugs[p.Slug] {
			t.Errorf("%s is listed twice", p.Slug)
		}
		slugs[p.Slug] = true
	}
	var tree struct {
		Items []struct {
			Slug   string  `json:"slug"`
			Parent *string `json:"parent_id"`
		} `json:"items"`
	}
	getInto(t, "/v1/categories", &tree)
	if len(tree.Items) < 10 {
		t.Errorf("the shop has %d categories, want at least 10", len(tree.Items))
	}
	for _, c := range tree.Items {
		var page struct {
			Items []product `json:"items"`
		}
		if getInto(t, "/v1/products?limit=5&category="+c.Slug, &page); len(page.Items) == 0 {
			t.Errorf("category %s is empty", c.Slug)
		}
	}
	out, err := env.Souk(t.Context(), "seed")
	if err != nil {
		t.Fatal(err)
	}
	if again := seeded(t); len(again) != len(products) {
		t.Errorf("seeding again made %d products of %d: %s", len(again), len(products), out)
	}
}

func TestAProductIsMadeChangedAndArchivedThroughTheGateway(t *testing.T) {
	category := seeded(t)[0].CategoryID
	slug := fmt.Sprintf("journey-%d", time.Now().UnixNano())
	status, header, body, err := fetchWithHeader(http.DefaultClient, "POST", "/v1/products", nil, newProduct(slug, category))
	if err != nil || status != http.StatusCreated {
		t.Fatalf("create: %d %s %v", status, body, err)
	}
	at, tag := header.Get("Location"), header.Get("ETag")
	if !strings.HasPrefix(at, "/v1/products/") || tag == "" {
		t.Fatalf("Location %q, ETag %q", at, tag)
	}
	expect := func(want int, method string, with map[string]string, body any) http.Header {
		t.Helper()
		status, header, answer, err := fetchWithHeader(http.DefaultClient, method, at, with, body)
		if err != nil || status != want {
			t.Fatalf("%s %v: want %d, got %d %s %v", method, with, want, status, answer, err)
		}
		return header
	}
	patch := map[string]string{"Content-Type": "application/merge-patch+json"}
	expect(http.StatusNotModified, "GET", map[string]string{"If-None-Match": tag}, nil)
	expect(http.StatusPreconditionRequired, "PATCH", patch, map[string]any{"title": "New"})
	patch["If-Match"] = `"99"`
	expect(http.StatusPreconditionFailed, "PATCH", patch, map[string]any{"title": "New"})
	patch["If-Match"] = tag
	changed := expect(http.StatusOK, "PATCH", patch, map[string]any{"title": "New"}).Get("ETag")
	expect(http.StatusPreconditionFailed, "PATCH", patch, map[string]any{"title": "Newer"})
	expect(http.StatusNoContent, "DELETE", map[string]string{"If-Match": changed}, nil)
	var archived product
	getInto(t, at, &archived)
	if archived.Status != "archived" {
		t.Errorf("after DELETE it is %s", archived.Status)
	}
	checkEvents(t, "catalog.products.v1", archived.ID, []string{"souk.catalog.product.created.v1", "souk.catalog.product.updated.v1", "souk.catalog.product.archived.v1"})
}

// checkEvents reads a topic from its start and wants the events of a key in order.
// Each may come more than once, as the outbox promises at least once.
func checkEvents(t *testing.T, topic, id string, want []string) {
	t.Helper()
	consumer, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": env.KafkaBroker(),
		"group.id": fmt.Sprintf("e2e-%d", time.Now().UnixNano()), "auto.offset.reset": "earliest", "enable.auto.commit": false})
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	if err := consumer.Subscribe(topic, nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	for deadline := time.Now().Add(30 * time.Second); len(got) < len(want) && time.Now().Before(deadline); {
		m, err := consumer.ReadMessage(time.Second)
		if err != nil || string(m.Key) != id {
			continue
		}
		headers := map[string]string{}
		for _, h := range m.Headers {
			headers[h.Key] = string(h.Value)
		}
		kind := headers["ce_type"]
		if headers["ce_specversion"] != "1.0" || headers["ce_id"] == "" || headers["traceparent"] == "" && headers["ce_traceparent"] == "" {
			t.Errorf("not a CloudEvent in binary mode: %v", headers)
		}
		if len(got) == 0 || got[len(got)-1] != kind {
			got = append(got, kind)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events of %s: %v, want %v", id, got, want)
	}
}

func TestBadInputIsRefusedWithWhatToChange(t *testing.T) {
	p := seeded(t)[0]
	valid, err := json.Marshal(newProduct("bad-input", p.CategoryID))
	if err != nil {
		t.Fatal(err)
	}
	with := func(from, to string) []byte { return bytes.Replace(valid, []byte(from), []byte(to), 1) }
	for name, c := range map[string]struct {
		method, path string
		header       map[string]string
		body         []byte
		status       []int
	}{
		"unknown field":          {"POST", "/v1/products", nil, with(`"brand"`, `"brnad"`), []int{400}},
		"field twice":            {"POST", "/v1/products", nil, with(`{`, `{"title":"a",`), []int{400}},
		"field in another case":  {"POST", "/v1/products", nil, with(`"title"`, `"Title"`), []int{400}},
		"wrong type":             {"POST", "/v1/products", nil, with(`1290`, `"1290"`), []int{400, 422}},
		"fractional price":       {"POST", "/v1/products", nil, with(`1290`, `12.9`), []int{400, 422}},
		"negative price":         {"POST", "/v1/products", nil, with(`1290`, `-1`), []int{400, 422}},
		"price of 2^63":          {"POST", "/v1/products", nil, with(`1290`, `9223372036854775808`), []int{400, 422}},
		"price of 1e400":         {"POST", "/v1/products", nil, with(`1290`, `1e400`), []int{400, 422}},
		"unknown currency":       {"POST", "/v1/products", nil, with(`EUR`, `XXQ`), []int{400, 422}},
		"deep nesting":           {"POST", "/v1/products", nil, []byte(strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000)), []int{400, 413}},
		"ten megabytes":          {"POST", "/v1/products", nil, with(`Made by a test.`, strings.Repeat("x", 10<<20)), []int{413}},
		"invalid UTF-8":          {"POST", "/v1/products", nil, with(`Made`, "\xff\xfe"), []int{400}},
		"NUL":                    {"POST", "/v1/products", nil, with(`Made`, `\u0000`), []int{400, 422}},
		"two documents":          {"POST", "/v1/products", nil, append(bytes.Clone(valid), valid...), []int{400}},
		"not JSON":               {"POST", "/v1/products", nil, []byte("title=x"), []int{400}},
		"a form":                 {"POST", "/v1/products", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, []byte("title=x"), []int{415}},
		"empty body":             {"POST", "/v1/products", nil, []byte{}, []int{400, 415}},
		"operator as a value":    {"POST", "/v1/products", nil, with(`"Test"`, `{"$ne":null}`), []int{400, 422}},
		"operator as a key":      {"POST", "/v1/products", nil, with(`{`, `{"attributes":{"$where":"sleep(1000)"},`), []int{400, 422}},
		"mass assignment":        {"POST", "/v1/products", nil, with(`{`, `{"version":7,"id":"x",`), []int{400}},
		"operator in a query":    {"GET", "/v1/products?brand[$ne]=x", nil, nil, []int{400}},
		"unknown parameter":      {"GET", "/v1/products?colour=red", nil, nil, []int{400}},
		"parameter twice":        {"GET", "/v1/products?limit=1&limit=2", nil, nil, []int{400}},
		"sort by anything":       {"GET", "/v1/products?sort=$where", nil, nil, []int{400}},
		"limit of zero":          {"GET", "/v1/products?limit=0", nil, nil, []int{400}},
		"limit of a million":     {"GET", "/v1/products?limit=1000000", nil, nil, []int{400}},
		"bad cursor":             {"GET", "/v1/products?cursor=AAAA", nil, nil, []int{400}},
		"cursor of nonsense":     {"GET", "/v1/products?cursor=" + strings.Repeat("%00", 50), nil, nil, []int{400}},
		"not an id":              {"GET", "/v1/products/..%2f..%2fetc", nil, nil, []int{400, 404}},
		"unknown id":             {"GET", "/v1/products/01900000-0000-7000-8000-000000000000", nil, nil, []int{404}},
		"stale ETag":             {"DELETE", "/v1/products/" + p.ID, map[string]string{"If-Match": `"999"`}, nil, []int{412}},
		"no ETag":                {"DELETE", "/v1/products/" + p.ID, nil, nil, []int{428}},
		"malformed ETag":         {"DELETE", "/v1/products/" + p.ID, map[string]string{"If-Match": "nonsense"}, nil, []int{400, 412}},
		"unknown path":           {"GET", "/v2/products", nil, nil, []int{404}},
		"unknown method":         {"PUT", "/v1/products", nil, nil, []int{405}},
		"another service's port": {"GET", "/metrics", nil, nil, []int{404}},
		"huge header":            {"GET", "/v1/products", map[string]string{"X-Filler": strings.Repeat("x", 100<<10)}, nil, []int{431}},
		"long address":           {"GET", "/v1/products?brand=" + strings.Repeat("x", 12<<10), nil, nil, []int{400, 414, 431}},
	} {
		t.Run(name, func(t *testing.T) {
			var body any
			if c.body != nil {
				body = c.body
			}
			status, header, answer, err := fetchWithHeader(newClient(), c.method, c.path, c.header, body)
			if err != nil {
				t.Fatal(err)
			}
			fits := false
			for _, s := range c.status {
				fits = fits || s == status
			}
			var problem struct {
				Type, Title, Detail string
				Status              int
			}
			if !fits || !strings.HasPrefix(header.Get("Content-Type"), "application/problem+json") ||
				json.Unmarshal(answer, &problem) != nil || problem.Status != status || problem.Title == "" || problem.Type == "" || problem.Detail == "" {
				t.Errorf("want a problem of %v, got %d %s %.400s", c.status, status, header.Get("Content-Type"), answer)
			}
			for _, internal := range []string{"goroutine", "bson", "mongo", "fasthttp", ".go:", "127.0.0.1"} {
				if bytes.Contains(bytes.ToLower(answer), []byte(internal)) {
					t.Errorf("it shows internals (%s): %s", internal, answer)
				}
			}
		})
	}
	if status, body, err := fetch(http.DefaultClient, "GET", "/v1/products/"+p.ID, nil, nil); err != nil || status != 200 {
		t.Errorf("after all that: %d %s %v", status, body, err)
	}
}

func TestTheDocumentationIsServedAtTheGateway(t *testing.T) {
	for path, want := range map[string]string{"/docs/": "<html", "/openapi/catalog.yaml": "openapi: 3.1"} {
		status, body, err := fetch(http.DefaultClient, "GET", path, nil, nil)
		if err != nil || status != http.StatusOK || !bytes.Contains(bytes.ToLower(body), []byte(want)) {
			t.Errorf("%s: %d %v %.200s", path, status, err, body)
		}
	}
}

func TestAnAcknowledgedWriteReachesKafkaThoughKafkaIsDown(t *testing.T) {
	category := seeded(t)[0].CategoryID
	victim := taskProcess(t, "kafka")
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	var made product
	status, body, err := fetch(http.DefaultClient, "POST", "/v1/products", nil, newProduct(fmt.Sprintf("no-kafka-%d", time.Now().UnixNano()), category))
	if err != nil || status != http.StatusCreated || json.Unmarshal(body, &made) != nil {
		t.Fatalf("a write while Kafka is down: %d %s %v", status, body, err)
	}
	// The process that holds the event in memory is not needed either.
	for id := range jobInstances(t, "catalog") {
		killTask(t, id)
	}
	eventually(t, 2*time.Minute, "both are back", func(ctx context.Context) error {
		if err := deployer(t).Healthy(ctx, "infra", "kafka"); err != nil {
			return err
		}
		return deployer(t).Healthy(ctx, "souk", "catalog")
	})
	checkEvents(t, "catalog.products.v1", made.ID, []string{"souk.catalog.product.created.v1"})
}

func TestMongoDownIsA503AndHealsByItself(t *testing.T) {
	p := seeded(t)[0]
	if err := taskProcess(t, "mongo").Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	status, header, body, err := fetchWithHeader(newClient(), "POST", "/v1/products", nil, newProduct(fmt.Sprintf("no-mongo-%d", began.UnixNano()), p.CategoryID))
	if err != nil || status != http.StatusServiceUnavailable && status != http.StatusGatewayTimeout {
		t.Errorf("a write while Mongo is down: %d %v %s %v", status, header, body, err)
	}
	t.Logf("answered after %s", time.Since(began).Round(time.Millisecond))
	eventually(t, time.Minute, "reads work again", func(context.Context) error {
		status, body, err := fetch(newClient(), "GET", "/v1/products/"+p.ID, nil, nil)
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("%d %s %v", status, body, err)
		}
		return nil
	})
}

func getInto(t *testing.T, path string, into any) {
	t.Helper()
	status, body, err := fetch(http.DefaultClient, "GET", path, nil, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %s", status, body)
	}
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
}
