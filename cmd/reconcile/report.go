package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// listed is how many differences a report names; the rest it counts.
const listed = 1000

// Report is what a run found: report.json.
type Report struct {
	Environment  string           `json:"environment"`
	StartedAt    time.Time        `json:"started_at"`
	EndedAt      time.Time        `json:"ended_at"`
	Orders       int              `json:"orders"`
	Reservations int              `json:"reservations"`
	Payments     int              `json:"payments"`
	SKUs         int              `json:"skus"`
	InFlight     int              `json:"in_flight"` // changed within the last minute: not compared
	Statuses     map[string]int   `json:"statuses"`  // orders by status
	Captured     map[string]int64 `json:"captured"`  // minor units by currency, less what was refunded
	Differences  int              `json:"differences"`
	ByKind       map[string]int   `json:"by_kind"`
	Listed       []Difference     `json:"listed"` // the first thousand
}

// Difference is one disagreement of the books: about an order, a SKU, or neither.
type Difference struct {
	Kind   string     `json:"kind"`
	Order  *uuid.UUID `json:"order_id,omitempty"`
	SKU    string     `json:"sku,omitempty"`
	Detail string     `json:"detail"`
}

func newReport(now time.Time) *Report {
	return &Report{StartedAt: now.UTC(), Statuses: map[string]int{}, Captured: map[string]int64{}, ByKind: map[string]int{}, Listed: []Difference{}}
}

func (r *Report) count(e entry) {
	r.Orders += len(e.orders)
	r.Reservations += len(e.reservations)
	r.Payments += len(e.payments)
	for _, o := range e.orders {
		r.Statuses[o.Status]++
	}
	for _, p := range e.payments {
		if p.Captured.Minor != 0 {
			r.Captured[p.Captured.Currency] += p.Captured.Minor - p.Refunded.Minor
		}
	}
}

func (r *Report) add(d Difference) {
	r.Differences++
	r.ByKind[d.Kind]++
	if len(r.Listed) < listed {
		r.Listed = append(r.Listed, d)
	}
}

// write leaves report.json and report.txt in a directory.
func (r *Report) write(dir string) error {
	r.EndedAt = time.Now().UTC()
	raw, err := json.Marshal(r, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "report.json"), append(raw, '\n'), 0o644), //nolint:gosec // holds ids and sums, for operators
		os.WriteFile(filepath.Join(dir, "report.txt"), []byte(r.text()), 0o644),   //nolint:gosec
	)
}

// text is the report for people.
func (r *Report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Compared on %s (%s): %d orders, %d reservations, %d payments, %d SKUs.\n", r.StartedAt.Format("2006-01-02 15:04:05 UTC"), r.Environment, r.Orders, r.Reservations, r.Payments, r.SKUs)
	for _, s := range slices.Sorted(maps.Keys(r.Statuses)) {
		fmt.Fprintf(&b, "  %-10s %d\n", s, r.Statuses[s])
	}
	for _, c := range slices.Sorted(maps.Keys(r.Captured)) {
		fmt.Fprintf(&b, "  captured, less refunds: %d %s in minor units\n", r.Captured[c], c)
	}
	if r.InFlight > 0 {
		fmt.Fprintf(&b, "%d changed within the last minute and were not compared.\n", r.InFlight)
	}
	if r.Differences == 0 {
		return b.String() + "The books agree.\n"
	}
	fmt.Fprintf(&b, "%d differences:\n", r.Differences)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, d := range r.Listed {
		about := d.SKU
		if d.Order != nil {
			about = d.Order.String()
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", d.Kind, about, d.Detail)
	}
	w.Flush()
	if more := r.Differences - len(r.Listed); more > 0 {
		fmt.Fprintf(&b, "  and %d more\n", more)
	}
	return b.String()
}

// log puts the outcome, and each difference that is named, where the other programs' logs go.
func (r *Report) log(ctx context.Context, log *slog.Logger) {
	for _, d := range r.Listed {
		attrs := []any{"event.action", "reconcile-difference", "event.reason", d.Kind}
		if d.Order != nil {
			attrs = append(attrs, "souk.order.id", d.Order.String())
		}
		if d.SKU != "" {
			attrs = append(attrs, "souk.sku", d.SKU)
		}
		log.WarnContext(ctx, "The books differ: "+d.Detail, attrs...)
	}
	level, outcome := slog.LevelInfo, "success"
	if r.Differences > 0 {
		level, outcome = slog.LevelError, "failure"
	}
	log.Log(ctx, level, "Reconciled", "event.action", "reconcile", "event.outcome", outcome,
		"souk.orders", r.Orders, "souk.in_flight", r.InFlight, "souk.differences", r.Differences)
}
