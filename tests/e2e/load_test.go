package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is a steady stream of buyers and merchandisers at the gateway: readers on kept
// connections, readers that connect anew for every request, and writers that create
// products. It counts every answer that is not the one a client wants.
type load struct {
	stop context.CancelFunc
	wg   sync.WaitGroup

	reads, writes atomic.Int64
	mu            sync.Mutex
	failed        []string          // what went wrong, with the time since the start
	acknowledged  map[string]string // id of every product that was answered with 201 -> its slug
	unknown       int               // writes whose outcome the client was not told
}

const (
	keptReaders  = 4
	freshReaders = 2
	writers      = 2
	pause        = 5 * time.Millisecond // bounds the load at (4+2+2)*200 requests a second
)

// startLoad reads the given products until the test ends it. tolerateUnknownWrites:
// a killed instance takes the writes it was busy with along; their client gets an
// error, and must not have been told otherwise.
func startLoad(t *testing.T, products []product) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{stop: cancel, acknowledged: map[string]string{}}
	began := time.Now()
	report := func(format string, args ...any) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.failed = append(l.failed, fmt.Sprintf("%6.2fs ", time.Since(began).Seconds())+fmt.Sprintf(format, args...))
	}
	every := func(do func(i int)) {
		l.wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				do(i)
				time.Sleep(pause)
			}
		})
	}
	for n := range keptReaders + freshReaders {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: n >= keptReaders}}
		every(func(i int) {
			p := products[(i*7+n*31)%len(products)]
			status, body, err := fetch(client, http.MethodGet, "/v1/products/"+p.ID, nil, nil)
			switch {
			case err != nil:
				report("read: %v", err)
			case status != http.StatusOK:
				report("read: %d %s", status, body)
			case !bytes.Contains(body, []byte(p.ID)):
				report("read: the answer is not product %s: %.100s", p.ID, body)
			default:
				l.reads.Add(1)
			}
		})
	}
	run := time.Now().UnixNano()
	for n := range writers {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
		every(func(i int) {
			slug := fmt.Sprintf("load-%d-%d-%d", run, n, i)
			status, body, err := fetch(client, http.MethodPost, "/v1/products", nil, newProduct(slug, products[0].CategoryID))
			l.mu.Lock()
			defer l.mu.Unlock()
			if err != nil || status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout {
				l.unknown++
				return
			}
			var made product
			if status != http.StatusCreated || json.Unmarshal(body, &made) != nil || made.ID == "" {
				l.failed = append(l.failed, fmt.Sprintf("write: %d %s", status, body))
				return
			}
			l.acknowledged[made.ID] = slug
			l.writes.Add(1)
		})
	}
	t.Cleanup(func() { cancel(); l.wg.Wait() })
	return l
}

// end stops the load, reports what failed, and reads back every acknowledged write.
func (l *load) end(t *testing.T, toleratedUnknown int) {
	t.Helper()
	l.stop()
	l.wg.Wait()
	t.Logf("%d reads, %d writes acknowledged, %d writes without an answer", l.reads.Load(), l.writes.Load(), l.unknown)
	if l.reads.Load() < 100 || l.writes.Load() < 20 {
		t.Errorf("too little load to mean anything")
	}
	for i, f := range l.failed {
		if i == 10 {
			t.Errorf("... and %d more", len(l.failed)-10)
			break
		}
		t.Error(f)
	}
	if l.unknown > toleratedUnknown {
		t.Errorf("%d writes had no answer, want at most %d", l.unknown, toleratedUnknown)
	}
	lost := 0
	for id, slug := range l.acknowledged {
		status, body, err := fetch(http.DefaultClient, http.MethodGet, "/v1/products/"+id, nil, nil)
		if err != nil || status != http.StatusOK || !bytes.Contains(body, []byte(slug)) {
			lost++
			t.Errorf("acknowledged product %s (%s): %d %.200s %v", id, slug, status, body, err)
		}
		if lost == 5 {
			break
		}
	}
}

// product is what the tests need to know of one.
type product struct {
	ID         string `json:"id"`
	Slug       string `json:"slug"`
	CategoryID string `json:"category_id"`
	Version    int    `json:"version"`
	Status     string `json:"status"`
}

func newProduct(slug, category string) map[string]any {
	return map[string]any{
		"slug": slug, "title": "Test " + slug, "description": "Made by a test.", "brand": "Test", "category_id": category, "status": "active",
		"variants": []any{map[string]any{"sku": slug + "-1", "price": map[string]any{"amount": 1290, "currency": "EUR"}}},
	}
}

// fetch sends a request to the gateway, what changes something as the operator's OAuth client unless header has an
// Authorization of its own. body is marshalled unless it is nil, or sent
// as it is if it is bytes.
func fetch(client *http.Client, method, path string, header map[string]string, body any) (status int, answer []byte, err error) {
	status, _, answer, err = fetchWithHeader(client, method, path, header, body)
	return status, answer, err
}

func fetchWithHeader(client *http.Client, method, path string, header map[string]string, body any) (status int, answered http.Header, answer []byte, err error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		reader = bytes.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return 0, nil, nil, err
		}
		reader = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, env.GatewayURL()+path, reader)
	if err != nil {
		return 0, nil, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if _, own := header["Authorization"]; !own && method != http.MethodGet {
		token, err := operator.Token()
		if err != nil {
			return 0, nil, nil, err
		}
		token.SetAuthHeader(req)
	}
	for name, value := range header {
		req.Header.Set(name, value)
		if value == "" {
			req.Header.Del(name)
		}
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, res.Header, answer, errors.Join(err, res.Body.Close())
}

// seeded reads the shop's products, all pages.
func seeded(t *testing.T) []product {
	t.Helper()
	var all []product
	for next := "/v1/products?limit=100"; next != ""; {
		status, body, err := fetch(http.DefaultClient, http.MethodGet, next, nil, nil)
		if err != nil || status != http.StatusOK {
			t.Fatalf("GET %s: %d %s %v", next, status, body, err)
		}
		var page struct {
			Items []product `json:"items"`
			Next  string    `json:"next"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			t.Fatalf("GET %s: %v", next, err)
		}
		all, next = append(all, page.Items...), page.Next
	}
	return all
}
