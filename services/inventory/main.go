// Command inventory keeps the stock of what is sold and the reservations that orders hold of it. openapi.yaml says what it can
// be asked; orders asks by events.
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
	"souk/internal/inbox"
	"souk/internal/intentions"
	"souk/internal/lifecycle"
	"souk/internal/outbox"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/inventory/app"
	"souk/services/inventory/store"
	"souk/services/inventory/web"
)

// name is that of the Nomad job, of its identity, its database, and its place in Consul.
const name = "inventory"

func main() {
	program := lifecycle.Program{Name: name, Run: run, CheckConfig: config.Checker[Config](Defaults)}
	os.Exit(program.Main(os.Args[1:]))
}

// run serves until ctx ends.
func run(ctx context.Context) (err error) {
	p, err := lifecycle.Start(name, os.Stdout)
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
	// From here on it is alive: Nomad restarts what is not, and it may have to wait for Vault or PostgreSQL.
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
	pool, err := openPool(ctx, p, id, consul, conf.Get().Connections)
	if err != nil {
		return err
	}
	locations := func() []string { return conf.Get().Locations }
	st := store.New(pool, locations, p.Log)
	if err := st.Migrate(ctx); err != nil {
		return err
	}
	p.Metrics.MustRegister(st.Metrics()...)
	p.Go(ctx, "tidying", st.Tidy)
	p.Go(ctx, "expiry", func(ctx context.Context) { st.Expire(ctx, func() time.Duration { return conf.Get().ExpiryInterval }) })
	p.Go(ctx, "outbox", func(ctx context.Context) { outbox.Relay(ctx, pool, publishing(p, consul)) })
	p.Go(ctx, "inbox", func(ctx context.Context) { inbox.Run(ctx, pool, consuming(p, consul, st, conf.Get().Batch)) })

	server := httpserver.New(httpserver.Options{
		Service: p.Service, Log: p.Log, Metrics: p.Metrics, BodyLimit: 16 << 10, RequestTimeout: conf.Get().RequestTimeout, TrustForwarded: true,
	})
	server.App().Use(callers.Middleware())
	web.Routes(server.App(), web.Options{
		Inventory: app.New(st, locations), PageSize: func() int { return conf.Get().PageSize }, Verifier: verifier, OpenAPI: openAPI,
	})

	listener, err := p.Listener(ctx)
	if err != nil {
		return err
	}
	return p.Serve(ctx, func(ctx context.Context) error { return server.Serve(ctx, tls.NewListener(listener, cert.ServerTLS())) })
}
