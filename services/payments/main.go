// Command payments takes payments and keeps their ledger: openapi.yaml says what it can be asked.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"time"

	"souk/contracts"
	"souk/internal/config"
	"souk/internal/discovery"
	"souk/internal/identity"
	"souk/internal/inbox"
	"souk/internal/intentions"
	"souk/internal/lifecycle"
	"souk/internal/outbox"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/payments/app"
	"souk/services/payments/events"
	"souk/services/payments/store"
	"souk/services/payments/web"
)

// name is that of the Nomad job, of its identity, its database, and its place in Consul.
const name = "payments"

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
	st.Lease = conf.Get().ProviderTimeout + 2*time.Second
	if err := st.Migrate(ctx); err != nil {
		return err
	}
	p.Go(ctx, "tidying", st.Tidy)
	p.Go(ctx, "outbox", func(ctx context.Context) {
		outbox.Relay(ctx, pool, outbox.Options{Service: p.Service, Topics: contracts.Topics(p.Env, p.Service), Brokers: brokers(p, consul), Log: p.Log, Metrics: p.Metrics})
	})

	keys := newSecrets(ctx, id.Vault(), p.Log)
	p.Go(ctx, "provider secrets", keys.follow)
	providers := openProviders(ctx, p, conf.Get(), pool, keys, issuer)
	worker := app.NewWorker(st, providers, app.WorkerOptions{Log: p.Log, Calls: conf.Get().ProviderCalls, Timeout: conf.Get().ProviderTimeout})
	provider := func() string { return conf.Get().Provider }
	payments := app.New(st, worker, app.Options{Provider: provider, Providers: providers})
	p.Go(ctx, "worker", worker.Run)
	commands := events.NewCommands(st, provider, worker.Submit)
	p.Go(ctx, "commands", func(ctx context.Context) {
		inbox.Run(ctx, pool, inbox.Options{
			Group: events.Group, Topics: []string{events.CommandsTopic}, Create: contracts.Consumed(p.Env, events.CommandsTopic),
			HandleAll: commands.HandleAll, Committed: commands.Committed, Brokers: brokers(p, consul), Log: p.Log, Metrics: p.Metrics,
		})
	})
	outgoing, err := openWebhooks(ctx, p, conf, pool, id, brokers(p, consul))
	if err != nil {
		return err
	}

	server := httpserver.New(httpserver.Options{
		Service: p.Service, Log: p.Log, Metrics: p.Metrics, BodyLimit: 256 << 10, RequestTimeout: conf.Get().RequestTimeout, TrustForwarded: true,
	})
	server.App().Use(callers.Middleware())
	web.Routes(server.App(), web.Options{
		Payments: payments, Webhooks: outgoing, Verifier: verifier, PageSize: func() int { return conf.Get().PageSize }, OpenAPI: openAPI,
	})

	listener, err := p.Listener(ctx)
	if err != nil {
		return err
	}
	return p.Serve(ctx, func(ctx context.Context) error { return server.Serve(ctx, tls.NewListener(listener, cert.ServerTLS())) })
}
