package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HTTPServer are the metrics of one HTTP server. All its labels are bounded:
// routes are templates, methods those of RFC 9110, statuses classes.
type HTTPServer struct {
	duration    *prometheus.HistogramVec
	active      prometheus.Gauge
	connections prometheus.Gauge
	refused     *prometheus.CounterVec
	panics      prometheus.Counter
}

// NewHTTPServer registers
//
//	http_server_request_duration_seconds{method,route,status}  histogram; status is "2xx"
//	http_server_active_requests                                gauge
//	http_server_connections                                    gauge
//	http_server_refused_total{reason}                          requests that reached no route
//	http_server_panics_total
//
// It panics when the registry has them already: one server a registry.
func NewHTTPServer(r prometheus.Registerer) *HTTPServer {
	h := &HTTPServer{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "http_server_request_duration_seconds",
			Help:    "Time from the request being read to its answer being ready, by route template.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route", "status"}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "http_server_active_requests", Help: "Requests being answered now.",
		}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "http_server_connections", Help: "Open connections, idle ones included.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_server_refused_total", Help: "Requests and connections refused before any route, by reason.",
		}, []string{"reason"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "http_server_panics_total", Help: "Handlers that panicked.",
		}),
	}
	r.MustRegister(h.duration, h.active, h.connections, h.refused, h.panics)
	return h
}

// Start counts a request in.
func (h *HTTPServer) Start() { h.active.Inc() }

// End counts a request out. Route is the template ("/v1/products/:id"), never
// the path; a method that is not of RFC 9110 or 5789 is counted as "other".
func (h *HTTPServer) End(method, route string, status int, d time.Duration) {
	h.active.Dec()
	h.duration.WithLabelValues(knownMethod(method), route, class(status)).Observe(d.Seconds())
}

// Refused counts a request or connection that was turned away before routing.
// The reason must be one of few: an error code of this program.
func (h *HTTPServer) Refused(reason string) { h.refused.WithLabelValues(reason).Inc() }

// Panicked counts a panic.
func (h *HTTPServer) Panicked() { h.panics.Inc() }

// Connection counts a connection opened (+1) or closed (-1).
func (h *HTTPServer) Connection(delta int) { h.connections.Add(float64(delta)) }

func knownMethod(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT":
		return m
	}
	return "other"
}

func class(status int) string {
	switch status / 100 {
	case 1:
		return "1xx"
	case 2:
		return "2xx"
	case 3:
		return "3xx"
	case 4:
		return "4xx"
	case 5:
		return "5xx"
	}
	return "other"
}
