// Command gateway is the way in: it routes requests to the services that Consul knows.
package main

import (
	"context"
	"errors"
	"os"

	"souk/internal/config"
	"souk/internal/discovery"
	"souk/internal/identity"
	"souk/internal/lifecycle"
	"souk/internal/tokens"
	"souk/internal/web"
)

func main() {
	program := lifecycle.Program{Name: serviceName, Run: run, CheckConfig: config.Checker[Config](Defaults)}
	os.Exit(program.Main(os.Args[1:]))
}

func run(ctx context.Context) (err error) {
	p, err := lifecycle.Start(serviceName, os.Stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	public := os.Getenv("SOUK_PUBLIC_ADDR")
	if public == "" || p.Listen == "" {
		return errors.New("SOUK_PUBLIC_ADDR or NOMAD_ADDR_http is not set: run this as the Nomad job nomad/apps/gateway.nomad.hcl")
	}

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

	// Instances are followed until the last request is answered.
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.Defer("routes", func(context.Context) error { stop(); return nil })
	verifier, err := tokens.FollowUsers(following, consul, cert.ClientTLS, tokens.Options{Issuer: issuer, StateDir: p.StateDir, Log: p.Log, Metrics: p.Metrics})
	if err != nil {
		return err
	}
	p.Check("tokens", verifier.Ready)
	g, err := newGateway(following, conf.Get(), options{
		Consul: consul, TLS: cert.ClientTLS, Tokens: verifier, StateDir: p.StateDir, Log: p.Log, Metrics: p.Metrics,
	})
	if err != nil {
		return err
	}
	conf.OnChange(g.follow(following))
	p.Check("routes", g.ready)
	limits := conf.Get().web()
	limits.Service, limits.Log, limits.Metrics = p.Service, p.Log, p.Metrics
	server := web.New(limits)
	g.routes(server.App())

	// The public address is shared with other instances on this node; the other reaches this one alone.
	listener, err := listen(ctx, public, p.Listen)
	if err != nil {
		return err
	}
	return p.Serve(ctx, func(ctx context.Context) error { return server.Serve(ctx, listener) })
}
