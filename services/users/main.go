// Command users keeps accounts and sessions and issues tokens: openapi.yaml says what it can be asked.
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
	"souk/internal/outbox"
	"souk/internal/tokens"
	httpserver "souk/internal/web"
	"souk/services/users/app"
	"souk/services/users/events"
	"souk/services/users/oauth"
	"souk/services/users/store"
	"souk/services/users/web"
)

// name is that of the Nomad job, of its identity, its database, and its place in Consul.
const name = "users"

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
	pool, err := openPool(ctx, p, id, consul, conf.Get().Connections)
	if err != nil {
		return err
	}
	st := store.New(pool, p.Log)
	if err := st.Migrate(ctx); err != nil {
		return err
	}
	p.Go(ctx, "tidying", st.Tidy)
	p.Go(ctx, "locks", st.AnnounceLocks)
	p.Go(ctx, "outbox", func(ctx context.Context) {
		outbox.Relay(ctx, pool, outbox.Options{
			Service: p.Service, Topics: events.Topics(p.Env), Brokers: brokers(p, consul), Log: p.Log, Metrics: p.Metrics,
		})
	})

	secrets := newClientSecrets(ctx, id.Vault(), p.Log)
	p.Go(ctx, "client secrets", secrets.follow)
	passwords, err := app.NewPasswords(app.PasswordOptions{})
	if err != nil {
		return err
	}
	p.Metrics.MustRegister(passwordMetrics(passwords)...)
	accounts := app.New(st, passwords, app.Options{Issuer: issuer, Lockout: func() app.Lockout { return conf.Get().Lockout.app() }})
	authorization, err := oauth.New(oauth.Options{
		Issuer: issuer, Store: st, Accounts: accounts, Log: p.Log, Metrics: p.Metrics,
		Keys:    oauth.NewKeys(ctx, id.Vault(), func() time.Duration { return conf.Get().PublishDelay }, p.Log),
		Clients: func() []oauth.Client { return conf.Get().Clients }, Secrets: secrets.of,
	})
	if err != nil {
		return err
	}
	p.Go(ctx, "revocations", authorization.Follow)
	verifier, err := tokens.Open(ctx, tokens.Options{Issuer: issuer, Source: authorization, StateDir: p.StateDir, Log: p.Log, Metrics: p.Metrics})
	if err != nil {
		return err
	}

	server := httpserver.New(httpserver.Options{
		Service: p.Service, Log: p.Log, Metrics: p.Metrics, BodyLimit: 128 << 10, RequestTimeout: conf.Get().RequestTimeout, TrustForwarded: true,
	})
	server.App().Use(callers.Middleware())
	authorization.Routes(server.App())
	web.Routes(server.App(), web.Options{
		Accounts: accounts, Sessions: app.NewSessions(st), LogIn: logIn(authorization), Verifier: verifier, OpenAPI: openAPI,
	})

	listener, err := p.Listener(ctx)
	if err != nil {
		return err
	}
	return p.Serve(ctx, func(ctx context.Context) error { return server.Serve(ctx, tls.NewListener(listener, cert.ServerTLS())) })
}

// logIn gives a session of our own front ends to whoever has just given the right password.
func logIn(authorization *oauth.Server) web.LogIn {
	return func(ctx context.Context, user app.User, userAgent, address string) (web.Tokens, error) {
		t, err := authorization.LogIn(ctx, user, oauth.Device{UserAgent: userAgent, Address: address})
		return web.Tokens{
			AccessToken: t.AccessToken, TokenType: t.TokenType, ExpiresIn: int64(t.ExpiresIn),
			RefreshToken: t.RefreshToken, Scope: t.Scope, SessionID: t.SessionID.String(),
		}, err
	}
}
