// Command notifications sends the e-mails that events ask for. It serves no requests: only health and metrics.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"souk/contracts"
	"souk/internal/config"
	"souk/internal/discovery"
	"souk/internal/identity"
	"souk/internal/inbox"
	"souk/internal/lifecycle"
	"souk/internal/postgres"
	"souk/services/notifications/app"
	"souk/services/notifications/events"
	"souk/services/notifications/mail"
	"souk/services/notifications/store"
	"souk/services/notifications/web"
)

// name is that of the Nomad job, of its identity, its database, and its place in Consul.
const name = "notifications"

func main() {
	program := lifecycle.Program{Name: name, Run: run, CheckConfig: config.Checker[Config](Defaults)}
	os.Exit(program.Main(os.Args[1:]))
}

// run sends until ctx ends.
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
	conf, err := config.Watch[Config](ctx, config.Options[Config]{
		Consul: consul, Key: p.ConfigKey(), Defaults: Defaults, StateFile: p.StateFile("config.yaml"), Log: p.Log, Metrics: p.Metrics,
	})
	if err != nil {
		return err
	}
	conf.OnChange(func(c *Config) { p.LogLevel.Set(c.LogLevel) })
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
	creds, err := id.Database(ctx, p.Service)
	if err != nil {
		return err
	}

	find := discovery.Options{StateDir: p.StateDir, Log: p.Log, Patience: 10 * time.Second}
	databases, err := discovery.Watch(ctx, consul, "postgres", find)
	if err != nil {
		return err
	}
	users, err := discovery.Watch(ctx, consul, "users", find)
	if err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, creds, databases.Address, p.Service, postgres.Options{Log: p.Log, MaxConns: conf.Get().Connections})
	if err != nil {
		return err
	}
	p.Defer("postgres", pool.Close)
	p.Metrics.MustRegister(pool.Metrics())
	st := store.New(pool, p.Log)
	if err := st.Migrate(ctx); err != nil {
		return err
	}
	p.Go(ctx, "tidying", func(ctx context.Context) { st.Tidy(ctx, func() time.Duration { return conf.Get().Keep.Log }) })

	files := mail.Files{Dir: os.Getenv("SOUK_MAIL_DIR")}
	p.Go(ctx, "files", func(ctx context.Context) {
		app.Sweep(ctx, files, st, func() time.Duration { return conf.Get().Keep.Files }, p.Log)
	})
	accounts := web.NewUsers(func() []string { return addresses(users) }, cert.ClientTLS("users"))
	p.Defer("users", accounts.Close)
	post := mail.Post{Settings: func() mail.Settings { return conf.Get().mail() }, Credentials: mail.NewCredentials(id.Vault()), Files: files}
	sender := app.NewSender(st, accounts, post, func() app.Settings { return conf.Get().sender() }, p.Log)
	p.Metrics.MustRegister(sender.Metrics()...)
	p.Go(ctx, "sender", func(ctx context.Context) { sender.Run(ctx, conf.Get().Senders) })

	return p.Serve(ctx, func(ctx context.Context) error {
		inbox.Run(ctx, pool, inbox.Options{
			Group: events.Group, Topics: []string{events.UsersTopic, events.OrdersTopic}, HandleAll: events.Handler(st),
			Create:  contracts.Consumed(p.Env, events.UsersTopic, events.OrdersTopic),
			Brokers: func(ctx context.Context) ([]string, error) { return discovery.Resolve(ctx, consul, "kafka", find) },
			Log:     p.Log, Metrics: p.Metrics,
		})
		return nil
	})
}

// addresses of those that are there at the moment.
func addresses(w *discovery.Watcher) (all []string) {
	for _, in := range w.Instances() {
		all = append(all, in.Address)
	}
	return all
}
