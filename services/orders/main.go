// Command orders keeps carts and orders, and runs the checkout saga: openapi.yaml says what it can be asked.
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
	"souk/internal/logs"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/orders/app"
	"souk/services/orders/catalog"
	"souk/services/orders/store"
	"souk/services/orders/web"
)

// name is that of the Nomad job, of its identity, its database, and its place in Consul.
const name = "orders"

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
	st := store.New(pool, p.Log)
	if err := st.Migrate(ctx); err != nil {
		return err
	}
	catalogs, err := discovery.Watch(ctx, consul, "catalog", discovery.Options{StateDir: p.StateDir, Log: p.Log, Patience: 10 * time.Second})
	if err != nil {
		return err
	}
	prices := catalog.New(ctx, addresses(catalogs), cert.ClientTLS("catalog"), p.Log)
	p.Defer("catalog", prices.Close)

	carts := app.NewCarts(st, prices, func() app.CartSettings { return app.CartSettings(conf.Get().Carts) })
	orders := app.NewOrders(st, carts, deadlines(conf))
	followers := app.NewFollowers(st, func(err error) { p.Log.Warn("followers of orders wait for news", logs.Err(err)) })

	background{p, st, pool, conf, followers, brokers(p, consul)}.start(ctx)

	server := httpserver.New(httpserver.Options{
		Service: p.Service, Log: p.Log, Metrics: p.Metrics, BodyLimit: 128 << 10, RequestTimeout: conf.Get().RequestTimeout, TrustForwarded: true,
	})
	server.App().Use(callers.Middleware())
	web.Routes(server.App(), web.Options{
		Orders: orders, Carts: carts, Followers: followers, Verifier: verifier, OpenAPI: openAPI, PageSize: func() int { return conf.Get().PageSize },
	})

	listener, err := p.Listener(ctx)
	if err != nil {
		return err
	}
	return p.Serve(ctx, func(ctx context.Context) error { return server.Serve(ctx, tls.NewListener(listener, cert.ServerTLS())) })
}
