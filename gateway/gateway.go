package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/discovery"
	"souk/internal/tokens"
)

const serviceName = "gateway"

// options are what a gateway needs of its process.
type options struct {
	Consul   *consulapi.Client
	TLS      func(service string) *tls.Config // identity.Certificate.ClientTLS
	Tokens   *tokens.Verifier                 // for routes that are not public
	StateDir string                           // keeps each service's instances for a start without Consul
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

// gateway routes requests to instances of services.
type gateway struct {
	log       *slog.Logger
	table     atomic.Pointer[table]
	config    atomic.Pointer[Config]
	balancer  *balancer
	tokens    *tokens.Verifier
	open      openStreams
	documents *documents
	metrics   *gatewayMetrics
}

// newGateway finds the services that cfg routes to, and follows them until ctx ends. It
// does not wait for instances: a service without any is answered with 503.
func newGateway(ctx context.Context, cfg *Config, o options) (*gateway, error) {
	find := discovery.Options{StateDir: o.StateDir, Log: o.Log, Grace: cfg.Upstream.VanishGrace}
	g := &gateway{log: o.Log, tokens: o.Tokens, balancer: newBalancer(o.Consul, o.TLS, find, cfg.Upstream, cfg.Streams.Limit, o.Log)}
	g.documents = newDocuments(o.StateDir, o.Log)
	g.table.Store(&table{})
	g.config.Store(cfg)
	g.metrics = newMetrics(o.Metrics, g.balancer)
	if err := g.apply(ctx, cfg); err != nil {
		return nil, err
	}
	go g.watchStreams(ctx)
	go g.followDocuments(ctx)
	return g, nil
}

// apply puts a configuration's routes, APIs and CORS origins in force for every request
// that begins after it. Requests under way end as they began. ctx ends what follows
// the services, so it must be the gateway's.
func (g *gateway) apply(ctx context.Context, cfg *Config) error {
	t, err := buildTable(cfg)
	var services map[string]*service
	if err == nil {
		services, err = g.balancer.want(ctx, t.services)
	}
	if err != nil {
		g.metrics.tables.WithLabelValues("failed").Inc()
		return fmt.Errorf("routing table: %w", err)
	}
	t.bind(services)
	g.table.Store(t)
	g.config.Store(cfg)
	g.balancer.keep(services)
	if g.documents != nil {
		g.documents.changed()
	}
	g.metrics.tables.WithLabelValues("applied").Inc()
	return nil
}

// follow is apply for config.Live.OnChange, which has nobody to return an error to. The
// configuration is valid, so it fails only when ctx has ended.
func (g *gateway) follow(ctx context.Context) func(*Config) {
	return func(cfg *Config) {
		if err := g.apply(ctx, cfg); err != nil {
			g.log.Error("the routes stay as they are", "error", err)
		}
	}
}

// ready says whether the gateway has heard of every service's instances, from Consul or
// from its last run. That there are some is the services' business.
func (g *gateway) ready() (err error) {
	g.balancer.each(func(s *service) {
		if err == nil && !s.watcher.Known() {
			err = fmt.Errorf("the instances of %s are not known yet", s.name)
		}
	})
	return err
}
