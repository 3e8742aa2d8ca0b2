package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// shelf is a server that pages through rows as the services do. `during` is called before each answer.
func shelf[R row](t *testing.T, name string, rows *[]R, totals any, during func()) *service {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if during != nil {
			during()
		}
		if r.URL.Path == "/internal/reconciliation/totals" {
			_ = json.MarshalWrite(w, totals)
			return
		}
		limit, _ := strconv.Atoi(r.FormValue("limit"))
		from := 0
		for from < len(*rows) && (*rows)[from].key().String() <= r.FormValue("after") {
			from++
		}
		to := min(from+limit, len(*rows))
		next := ""
		if to < len(*rows) {
			next = (*rows)[to-1].key().String()
		}
		_ = json.MarshalWrite(w, map[string]any{"items": (*rows)[from:to], "next": next})
	}))
	t.Cleanup(server.Close)
	s := newService(name, func(context.Context) ([]string, error) {
		return []string{strings.TrimPrefix(server.URL, "https://")}, nil
	}, nil)
	s.client, s.patience = server.Client(), 5*time.Second
	return s
}

// world is the books of n orders that agree.
type world struct {
	orders       []order
	reservations []reservation
	payments     []payment
	stock        []level
}

func newWorld(n int, changed time.Time) *world {
	w := &world{}
	for range n {
		e := agreed()
		e.orders[0].ChangedAt, e.reservations[0].ChangedAt, e.payments[0].ChangedAt = changed, changed, changed
		w.orders, w.reservations, w.payments = append(w.orders, e.orders...), append(w.reservations, e.reservations...), append(w.payments, e.payments...)
	}
	return w
}

func (w *world) books(t *testing.T, during func()) books {
	return books{
		orders:    shelf(t, "orders", &w.orders, nil, during),
		inventory: shelf(t, "inventory", &w.reservations, map[string]any{"items": w.stock, "next": ""}, during),
		payments:  shelf(t, "payments", &w.payments, map[string]any{"ledger_sum": 0}, during),
	}
}

func TestManyPagesAreComparedAndOnlyTheSpoiltOrdersReported(t *testing.T) {
	now := time.Now()
	w := newWorld(3*pageSize+7, now.Add(-time.Hour))
	// One of each at the seams of pages.
	lost := w.orders[pageSize].ID
	w.orders = slices.Delete(w.orders, pageSize, pageSize+1)
	unsold := w.reservations[pageSize-1].Order
	w.reservations = slices.Delete(w.reservations, pageSize-1, pageSize)
	unpaid := w.payments[len(w.payments)-1].Order
	w.payments = w.payments[:len(w.payments)-1]
	report, err := reconcile(t.Context(), w.books(t, nil), now)
	if err != nil {
		t.Fatal(err)
	}
	got := map[uuid.UUID]bool{}
	for _, d := range report.Listed {
		got[*d.Order] = true
	}
	if len(got) != 3 || !got[lost] || !got[unsold] || !got[unpaid] {
		t.Errorf("reported %v, want %s, %s and %s", report.Listed, lost, unsold, unpaid)
	}
	if report.Orders != 3*pageSize+6 || report.Captured["EUR"] != int64(3*pageSize+6)*4200 || report.InFlight != 0 {
		t.Errorf("counted %+v", report)
	}
}

func TestWhatChangesMeanwhileIsInFlight(t *testing.T) {
	now := time.Now()
	w := newWorld(2*pageSize, now.Add(-time.Hour))
	w.orders[0].Status, w.orders[0].ChangedAt = "cancelled", now.Add(-30*time.Second) // its release is on the way
	last := len(w.orders) - 1
	var asked atomic.Int32
	b := w.books(t, func() {
		// After the first pages: the last order is cancelled, and payments has heard of it already.
		if asked.Add(1) == 4 {
			w.payments[last].Refunded, w.payments[last].ChangedAt = eur(1), now.Add(time.Second)
		}
	})
	report, err := reconcile(t.Context(), b, now)
	if err != nil {
		t.Fatal(err)
	}
	if report.InFlight != 2 || report.Differences != 0 {
		t.Errorf("in flight %d, differences %v; want two in flight and no difference", report.InFlight, report.Listed)
	}
}

func TestAServiceThatIsAwayForAWhileIsWaitedFor(t *testing.T) {
	w := newWorld(3, time.Now().Add(-time.Hour))
	b := w.books(t, nil)
	find, asked := b.payments.find, 0
	b.payments.find = func(ctx context.Context) ([]string, error) {
		if asked++; asked < 4 {
			return []string{"127.0.0.1:1"}, nil
		}
		return find(ctx)
	}
	if report, err := reconcile(t.Context(), b, time.Now()); err != nil || report.Differences != 0 {
		t.Errorf("%v %v", report, err)
	}
	b.payments.find = func(context.Context) ([]string, error) { return nil, nil }
	b.payments.patience = 300 * time.Millisecond
	if _, err := reconcile(t.Context(), b, time.Now()); err == nil || !strings.Contains(err.Error(), "payments") {
		t.Errorf("without payments: %v", err)
	}
}

func TestRowsOutOfOrderAreAnErrorAndNotADifference(t *testing.T) {
	w := newWorld(3, time.Now().Add(-time.Hour))
	slices.Reverse(w.reservations)
	if _, err := reconcile(t.Context(), w.books(t, nil), time.Now()); err == nil || !strings.Contains(err.Error(), "not in order") {
		t.Errorf("%v", err)
	}
}

func TestTheReportNamesAThousandDifferencesAndCountsTheRest(t *testing.T) {
	r := newReport(time.Now())
	for i := range listed + 5 {
		r.add(Difference{Kind: "stock-level", SKU: fmt.Sprint("sku-", i), Detail: "x"})
	}
	dir := t.TempDir()
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	var back Report
	raw, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil || json.Unmarshal(raw, &back) != nil || back.Differences != listed+5 || len(back.Listed) != listed {
		t.Errorf("%v: %d differences, %d listed", err, back.Differences, len(back.Listed))
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.txt"))
	if err != nil || !strings.Contains(string(text), "sku-999") || !strings.Contains(string(text), "and 5 more") {
		t.Errorf("%v: %.200s", err, text)
	}
}
