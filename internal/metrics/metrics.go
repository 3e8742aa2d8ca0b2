// Package metrics is a process's Prometheus registry. There is no default one:
// what is not registered here is not exported.
package metrics

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Registry collects one process's metrics. It is a prometheus.Registerer.
type Registry struct {
	*prometheus.Registry
}

// New makes a registry with the Go runtime's and the process's metrics and
// souk_build_info{service,version,go_version} 1.
func New(service, version string) *Registry {
	r := &Registry{Registry: prometheus.NewRegistry()}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "souk_build_info",
		Help:        "What runs here; always 1.",
		ConstLabels: prometheus.Labels{"service": service, "version": version, "go_version": runtime.Version()},
	})
	build.Set(1)
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build,
	)
	return r
}

// Handler serves the metrics; it belongs on the admin port. A collector that
// fails costs only its own metrics.
func (r *Registry) Handler() http.Handler {
	return promhttp.HandlerFor(r.Registry, promhttp.HandlerOpts{
		Registry:            r.Registry,
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
	})
}
