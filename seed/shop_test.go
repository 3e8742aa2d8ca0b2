package seed

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// shop is the part of the catalogue's API that seeding uses, as its contract says it,
// in memory; tests/e2e seeds the real one. It is strict: what it does not know, it
// refuses.
type shop struct {
	*httptest.Server
	t *testing.T

	mu         sync.Mutex
	categories []shopCategory
	products   []shopProduct
	replies    map[string]shopReply // by Idempotency-Key
	requests   []string             // "GET /v1/products"
	keyless    bool                 // keys are ignored, as when they have run out
	unlisted   bool                 // lists are empty, as before another seeder came
	// disturb may answer instead of the shop (true), before or (effect) after it has done
	// its work; nil never does. n counts requests from 1.
	disturb func(n int, effect bool, w http.ResponseWriter, r *http.Request) bool
}

type shopCategory struct {
	category
	Name     string
	ParentID string
}

type shopProduct struct {
	newProduct
	ID string
}

type shopReply struct {
	request [32]byte
	body    []byte
}

func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, replies: map[string]shopReply{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	n, disturb := len(s.requests), s.disturb
	s.mu.Unlock()
	if disturb != nil && disturb(n, false, w, r) {
		return
	}
	answer := httptest.NewRecorder()
	s.mu.Lock()
	s.serve(answer, r, body)
	s.mu.Unlock()
	if disturb != nil && disturb(n, true, w, r) {
		return
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (s *shop) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	path := r.URL.Path
	switch {
	case r.Method == http.MethodGet && path == categoriesPath:
		s.listCategories(w, r.URL.Query())
	case r.Method == http.MethodGet && strings.HasPrefix(path, categoriesPath+"/"):
		i := slices.IndexFunc(s.categories, func(c shopCategory) bool { return c.Slug == strings.TrimPrefix(path, categoriesPath+"/") })
		if i < 0 {
			problem(w, http.StatusNotFound, "category-not-found", "there is no such category")
			return
		}
		reply(w, http.StatusOK, s.categories[i].category)
	case r.Method == http.MethodGet && path == productsPath:
		s.listProducts(w, r.URL.Query())
	case r.Method == http.MethodPost && path == categoriesPath:
		s.once(w, r, body, s.addCategory)
	case r.Method == http.MethodPost && path == productsPath:
		s.once(w, r, body, s.addProduct)
	default:
		problem(w, http.StatusNotFound, "not-found", "there is nothing at this path")
	}
}

func (s *shop) listCategories(w http.ResponseWriter, query url.Values) {
	items := []category{}
	for _, c := range s.categories {
		if c.Status == query.Get("status") && !s.unlisted {
			items = append(items, c.category)
		}
	}
	reply(w, http.StatusOK, map[string]any{"items": items})
}

func (s *shop) listProducts(w http.ResponseWriter, query url.Values) {
	for name := range query {
		if !slices.Contains([]string{"sku", "status", "limit"}, name) {
			problem(w, http.StatusBadRequest, "bad-query", "unknown parameter "+name)
			return
		}
	}
	skus := strings.Split(query.Get("sku"), ",")
	if len(skus) > 100 || query.Get("limit") != "100" {
		problem(w, http.StatusBadRequest, "bad-query", fmt.Sprintf("%d SKUs, limit %q", len(skus), query.Get("limit")))
		return
	}
	items := []productSummary{}
	for _, p := range s.products {
		has := slices.ContainsFunc(p.Variants, func(v newVariant) bool { return slices.Contains(skus, v.SKU) })
		if !has || s.unlisted || p.Status != cmp.Or(query.Get("status"), active) {
			continue
		}
		item := productSummary{Slug: p.Slug}
		for _, v := range p.Variants {
			item.Variants = append(item.Variants, struct {
				SKU string `json:"sku"`
			}{v.SKU})
		}
		items = append(items, item)
	}
	reply(w, http.StatusOK, map[string]any{"items": items[:min(len(items), 100)]})
}

// once is Idempotency-Key as the contract has it: the same request is replayed,
// another one with the key is refused; only successes are kept.
func (s *shop) once(w http.ResponseWriter, r *http.Request, body []byte, add func(body []byte) (any, int, string)) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" || len(key) > 255 || r.Header.Get("Content-Type") != "application/json" {
		problem(w, http.StatusBadRequest, "bad-request", "no Idempotency-Key, or not JSON")
		return
	}
	request := sha256.Sum256(append([]byte(r.URL.Path), body...))
	if earlier, ok := s.replies[key]; ok && !s.keyless {
		if earlier.request != request {
			problem(w, http.StatusUnprocessableEntity, "idempotency-key-reused", "this Idempotency-Key was used for another request")
			return
		}
		w.Header().Set("Idempotent-Replayed", "true")
		reply(w, http.StatusCreated, json.RawMessage(earlier.body))
		return
	}
	made, status, code := add(body)
	if status != http.StatusCreated {
		problem(w, status, code, fmt.Sprint(made))
		return
	}
	raw, err := json.Marshal(made)
	if err != nil {
		s.t.Error(err)
	}
	s.replies[key] = shopReply{request: request, body: raw}
	reply(w, status, made)
}

func (s *shop) addCategory(body []byte) (any, int, string) {
	var in newCategory
	if err := strict(body, &in); err != nil {
		return err, http.StatusBadRequest, "bad-json"
	}
	if slices.ContainsFunc(s.categories, func(c shopCategory) bool { return c.Slug == in.Slug }) {
		return "another category has this slug; choose another", http.StatusConflict, "slug-taken"
	}
	i := slices.IndexFunc(s.categories, func(c shopCategory) bool { return c.ID == in.ParentID })
	if in.ParentID != "" && (i < 0 || s.categories[i].Status != active) {
		return "no such parent, or archived", http.StatusConflict, "parent-archived"
	}
	c := shopCategory{category: category{ID: fmt.Sprintf("id-%d", len(s.categories)), Slug: in.Slug, Status: active}, Name: in.Name, ParentID: in.ParentID}
	s.categories = append(s.categories, c)
	return c.category, http.StatusCreated, ""
}

func (s *shop) addProduct(body []byte) (any, int, string) {
	var in newProduct
	if err := strict(body, &in); err != nil {
		return err, http.StatusBadRequest, "bad-json"
	}
	if !slices.ContainsFunc(s.categories, func(c shopCategory) bool { return c.ID == in.CategoryID }) {
		return "no such category", http.StatusUnprocessableEntity, "invalid-product"
	}
	for _, p := range s.products {
		if p.Slug == in.Slug {
			return "another product has this slug; choose another", http.StatusConflict, "slug-taken"
		}
		for _, v := range p.Variants {
			if slices.ContainsFunc(in.Variants, func(w newVariant) bool { return w.SKU == v.SKU }) {
				return "another product has a variant with SKU " + v.SKU, http.StatusConflict, "sku-taken"
			}
		}
	}
	p := shopProduct{newProduct: in, ID: fmt.Sprintf("product-%d", len(s.products))}
	s.products = append(s.products, p)
	return map[string]any{"id": p.ID, "slug": p.Slug, "version": 1}, http.StatusCreated, ""
}

func strict(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "/problems/" + code, "title": http.StatusText(status), "status": status, "code": code, "detail": detail, "request_id": "req-7",
	})
}

// posts forgets the requests so far and returns how many there were, and how many of
// them were to create something.
func (s *shop) posts() (all, posts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if strings.HasPrefix(r, "POST") {
			posts++
		}
	}
	all, s.requests = len(s.requests), nil
	return all, posts
}

// edit is what a user does with the shop.
func (s *shop) edit(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *shop) product(slug string) *shopProduct {
	for i := range s.products {
		if s.products[i].Slug == slug {
			return &s.products[i]
		}
	}
	s.t.Fatalf("the shop has no product %q", slug)
	return nil
}

func (s *shop) category(slug string) *shopCategory {
	for i := range s.categories {
		if s.categories[i].Slug == slug {
			return &s.categories[i]
		}
	}
	s.t.Fatalf("the shop has no category %q", slug)
	return nil
}

// contents is a line for each object.
func (s *shop) contents() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, c := range s.categories {
		lines = append(lines, fmt.Sprintf("%+v", c))
	}
	for _, p := range s.products {
		lines = append(lines, fmt.Sprintf("%+v", p))
	}
	return lines
}
