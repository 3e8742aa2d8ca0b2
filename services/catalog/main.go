// Command catalog serves products and categories, and publishes every change of them.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"time"

	"souk/internal/config"
	"souk/internal/discovery"
	"souk/internal/identity"
	"souk/internal/intentions"
	"souk/internal/lifecycle"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/catalog/app"
	"souk/services/catalog/events"
	"souk/services/catalog/store"
	"souk/services/catalog/web"
)

func main() {
	catalog := lifecycle.Program{Name: "catalog", Run: run, CheckConfig: config.Checker[Config](Defaults)}
	os.Exit(catalog.Main(os.Args[1:]))
}

// startLimit bounds the wait for MongoDB's first answer. Nomad then tries again.
const startLimit = 45 * time.Second

func run(ctx context.Context) (err error) {
	p, err := lifecycle.Start("catalog", os.Stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()

	issuer, err := tokens.IssuerFromEnv()
	if err != nil {
		return err
	}
	consul, err := discovery.Connect()
	if err != nil {
		return err
	}
	conf, err := config.Watch[Config](ctx, config.Options[Config]{
		Consul: consul, Key: p.ConfigKey(), Defaults: Defaults, StateFile: p.StateFile("config.yaml"), Log: p.Log, Metrics: p.Metrics,
	})
	if err != nil {
		return err
	}
	conf.OnChange(func(c *Config) { p.LogLevel.Set(c.LogLevel) })
	callers, err := intentions.Watch(ctx, intentions.Options{
		Consul: consul, Service: p.Service, StateFile: p.StateFile("intentions.json"), Log: p.Log,
	})
	if err != nil {
		return err
	}

	// Before Vault is asked: who waits for it is alive, and must not be restarted for it.
	err = p.ServeAdmin(ctx, lifecycle.Admin{Metrics: p.Metrics.Handler(), Config: func() (uint64, any) { return conf.Index(), conf.Get() }})
	if err != nil {
		return err
	}

	id, err := identity.Login(ctx, identity.FromEnv(p.Service), p.Log)
	if err != nil {
		return err
	}
	p.Defer("identity", id.Close)
	p.Check("identity", id.Ready)
	p.Metrics.MustRegister(id.Metrics())
	cert, err := id.Certificate(ctx)
	if err != nil {
		return err
	}

	verifier, err := tokens.FollowUsers(ctx, consul, cert.ClientTLS, tokens.Options{Issuer: issuer, StateDir: p.StateDir, Log: p.Log, Metrics: p.Metrics})
	if err != nil {
		return err
	}
	p.Check("tokens", verifier.Ready)

	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	find := func(ctx context.Context, service string) ([]string, error) {
		return discovery.Resolve(ctx, consul, service, discovery.Options{StateDir: p.StateDir, Log: p.Log, Patience: 10 * time.Second})
	}
	mongo, err := find(starting, "mongo")
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, conf.Get().store(mongo))
	if err != nil {
		return err
	}
	p.Defer("store", st.Close)
	if err := st.Prepare(starting); err != nil {
		return err
	}

	kafka := events.Kafka(func(ctx context.Context) ([]string, error) { return find(ctx, "kafka") }, events.Topics(p.Env), p.Log)
	relay := events.NewRelay(st, st.Lease("relay", p.Instance, events.LeaseTTL), kafka, func() events.Settings { return conf.Get().relay() }, p.Log)
	p.Metrics.MustRegister(relay.Metrics()...)
	p.Go(ctx, "relay", relay.Run)

	server := httpserver.New(httpserver.Options{Service: p.Service, Log: p.Log, Metrics: p.Metrics, RequestTimeout: conf.Get().RequestTimeout, TrustForwarded: true})
	server.App().Use(callers.Middleware())
	web.Routes(server.App(), app.New(st, func() app.Settings { return conf.Get().app() }), verifier, openAPI)

	listener, err := p.Listener(ctx)
	if err != nil {
		return err
	}
	return p.Serve(ctx, func(ctx context.Context) error { return server.Serve(ctx, tls.NewListener(listener, cert.ServerTLS())) })
}
