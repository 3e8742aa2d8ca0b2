// Command probe keeps items: openapi.yaml says what it can be asked.
package main

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"

	"souk/cmd/souk/scaffold/app"
	"souk/cmd/souk/scaffold/store"
	api "souk/cmd/souk/scaffold/web"
	"souk/internal/config"
	"souk/internal/discovery"
	"souk/internal/identity"
	"souk/internal/intentions"
	"souk/internal/lifecycle"
	"souk/internal/postgres"
	"souk/internal/web"
)

// name is that of the Nomad job, of its identity, its database, and its place in Consul.
const name = "probe"

//go:embed openapi.yaml
var contract []byte

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

	consul, err := discovery.Connect()
	if err != nil {
		return err
	}
	settings, err := config.Watch[Config](ctx, config.Options[Config]{
		Consul: consul, Key: p.ConfigKey(), Defaults: Defaults, StateFile: p.StateFile("config.yaml"), Log: p.Log, Metrics: p.Metrics,
	})
	if err != nil {
		return err
	}
	p.LogLevel.Set(settings.Get().LogLevel)
	settings.OnChange(func(c *Config) { p.LogLevel.Set(c.LogLevel) })

	// From here on it is alive, though not ready: it may have to wait for Vault and PostgreSQL.
	if err := p.ServeAdmin(ctx, lifecycle.Admin{
		Metrics: p.Metrics.Handler(),
		Config:  func() (uint64, any) { return settings.Index(), settings.Get() },
	}); err != nil {
		return err
	}

	callers, err := intentions.Watch(ctx, intentions.Options{Consul: consul, Service: name, StateFile: p.StateFile("intentions.json"), Log: p.Log})
	if err != nil {
		return err
	}
	id, err := identity.Login(ctx, identity.FromEnv(name), p.Log)
	if err != nil {
		return err
	}
	p.Defer("identity", id.Close)
	p.Check("identity", id.Ready)
	p.Metrics.MustRegister(id.Metrics())
	certificate, err := id.Certificate(ctx)
	if err != nil {
		return err
	}
	credentials, err := id.Database(ctx, name)
	if err != nil {
		return err
	}

	servers, err := discovery.Watch(ctx, consul, "postgres", discovery.Options{StateDir: p.StateDir, Log: p.Log})
	if err != nil {
		return err
	}
	address := func() string {
		for _, s := range servers.Instances() {
			return s.Address
		}
		return "" // none is known at the moment
	}
	pool, err := postgres.Open(ctx, credentials, address, name, postgres.Options{Log: p.Log, MaxConns: settings.Get().Connections})
	if err != nil {
		return err
	}
	p.Defer("postgres", pool.Close)
	p.Metrics.MustRegister(pool.Metrics())
	items := store.New(pool)
	if err := items.Migrate(ctx); err != nil {
		return err
	}
	go items.Tidy(ctx, p.Log)

	server := web.New(web.Options{
		Service: name, Log: p.Log, Metrics: p.Metrics, RequestTimeout: settings.Get().RequestTimeout, TrustForwarded: true,
	})
	routes := api.API{Items: app.New(items), PageSize: func() int { return settings.Get().PageSize }, Contract: contract}
	routes.Register(server.App(), callers.Middleware())

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.Listen)
	if err != nil {
		return fmt.Errorf("listen for requests: %w", err)
	}
	return p.Serve(ctx, func(ctx context.Context) error {
		return server.Serve(ctx, tls.NewListener(listener, certificate.ServerTLS()))
	})
}
