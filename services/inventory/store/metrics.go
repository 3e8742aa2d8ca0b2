package store

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"souk/services/inventory/app"
)

type metrics struct {
	decisions *prometheus.CounterVec
}

func newMetrics() metrics {
	m := metrics{decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "souk_inventory_events_total", Help: "Events that were decided on, those of transactions that were undone and done again included.",
	}, []string{"event"})}
	for _, kind := range []app.EventType{ // so that a rate exists from the first one on
		app.ReservationReserved, app.ReservationRejected, app.ReservationCommitted, app.ReservationCommitFailed, app.ReservationReleased,
		app.ReservationExpired, app.StockLow, app.AvailabilityChanged,
	} {
		m.decisions.WithLabelValues(label(kind))
	}
	return m
}

func (m *metrics) all() []prometheus.Collector { return []prometheus.Collector{m.decisions} }

func (m *metrics) count(events []app.Event) {
	for _, e := range events {
		m.decisions.WithLabelValues(label(e.Type)).Inc()
	}
}

// label is the part of an event's type that differs: reservation.reserved.
func label(kind app.EventType) string {
	return strings.TrimSuffix(strings.TrimPrefix(string(kind), "souk.inventory."), ".v1")
}
