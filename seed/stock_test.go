package seed

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// stockroom is the part of the inventory's API that stocking uses, in memory; tests/e2e stocks the real one.
type stockroom struct {
	mu     sync.Mutex
	pieces map[string]int64  // of SKUs that were ever stocked
	hidden map[string]int    // SKUs that are not known yet: for so many more requests
	keys   map[string]string // Idempotency-Key to SKU
	asked  int               // adjustments that were sent
}

func (s *stockroom) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sku := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/inventory/"), "/adjustments")
	known := func(sku string) bool {
		if s.hidden[sku] == 0 {
			return true
		}
		s.hidden[sku]--
		return false
	}
	shown := func(sku string) map[string]any {
		locations := []any{}
		if _, stocked := s.pieces[sku]; stocked {
			locations = append(locations, map[string]any{"location": "main"})
		}
		return map[string]any{"sku": sku, "available": s.pieces[sku], "locations": locations}
	}
	switch {
	case r.URL.Path == "/v1/inventory":
		items := []any{}
		for _, sku := range strings.Split(r.URL.Query().Get("skus"), ",") {
			if known(sku) {
				items = append(items, shown(sku))
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items})
	case r.Method == http.MethodGet && known(sku):
		_ = json.NewEncoder(w).Encode(shown(sku))
	case r.Method == http.MethodPost:
		var in struct{ Delta int64 }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.asked++
		if key := r.Header.Get("Idempotency-Key"); s.keys[key] == "" {
			s.keys[key] = sku
			s.pieces[sku] += in.Delta
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "{}")
	default:
		http.NotFound(w, r)
	}
}

func openStockroom(t *testing.T) (*stockroom, Client) {
	t.Helper()
	s := &stockroom{pieces: map[string]int64{}, hidden: map[string]int{}, keys: map[string]string{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, Client{BaseURL: server.URL}
}

func TestStockIsReceivedOnceAndWhatWasSoldStaysSold(t *testing.T) {
	s, client := openStockroom(t)
	s.pieces["SOLD-OUT"] = 0
	levels := map[string]int{"A": 3, "B": 7, "NEVER": 0, "SOLD-OUT": 5}
	for i := range 150 { // more than one request can ask for
		levels[fmt.Sprintf("M-%03d", i)] = 1
	}
	n, err := Stock(t.Context(), client, levels, 0)
	if err != nil || n != 152 {
		t.Fatalf("stocked %d, %v; want 152", n, err)
	}
	want := map[string]int64{"SOLD-OUT": 0}
	for sku, pieces := range levels {
		if sku != "SOLD-OUT" && pieces > 0 {
			want[sku] = int64(pieces)
		}
	}
	if !maps.Equal(s.pieces, want) {
		t.Errorf("in stock: %v", s.pieces)
	}
	s.pieces["A"] = 0 // bought meanwhile
	if n, err := Stock(t.Context(), client, levels, 0); err != nil || n != 0 || s.asked != 152 {
		t.Errorf("the second run stocked %d with %d adjustments in all, %v", n, s.asked, err)
	}
}

func TestSKUsThatTheInventoryHearsOfLateAreWaitedFor(t *testing.T) {
	s, client := openStockroom(t)
	s.hidden["LATE"], s.hidden["GONE"] = 3, 1000
	n, err := Stock(t.Context(), client, map[string]int{"LATE": 2, "GONE": 2, "A": 2}, time.Second)
	if err != nil || n != 2 || s.pieces["LATE"] != 2 {
		t.Errorf("stocked %d (%v), %v; what is never known must be left out", n, s.pieces, err)
	}
}
