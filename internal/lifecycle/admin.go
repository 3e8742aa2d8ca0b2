package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.yaml.in/yaml/v3"
)

// Admin is the second port, for health and metrics; nobody outside the node reaches it.
type Admin struct {
	Metrics http.Handler
	// Config gives the configuration in force, with secrets masked, and its index.
	Config func() (index uint64, config any)
}

// ServeAdmin listens on Settings.Admin until Close:
//
//	/healthz  200 while the process lives
//	/readyz   200 if Ready, else 503 and the reasons
//	/metrics  Prometheus
//	/config   {"modify_index": n, "config": {...}}
func (p *Process) ServeAdmin(ctx context.Context, a Admin) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.Admin)
	if err != nil {
		return fmt.Errorf("listen for health and metrics: %w", err)
	}
	server := &http.Server{Handler: p.adminRoutes(a), ReadHeaderTimeout: 2 * time.Second, WriteTimeout: 30 * time.Second}
	p.Defer("admin server", server.Shutdown)
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.Log.Error("the admin server ended", "error", err)
		}
	}()
	return nil
}

func (p *Process) adminRoutes(a Admin) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.Metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := p.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) {
		index, config := a.Config()
		// By way of YAML, so that it has the names and the durations that people write.
		var shown any
		raw, err := yaml.Marshal(config)
		if err == nil {
			err = yaml.Unmarshal(raw, &shown)
		}
		if err == nil {
			w.Header().Set("Content-Type", "application/json")
			err = json.NewEncoder(w).Encode(map[string]any{"modify_index": index, "config": shown})
		}
		if err != nil {
			p.Log.Warn("the configuration could not be shown", "error", err)
		}
	})
	return mux
}
