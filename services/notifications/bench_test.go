package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	kafka "souk/internal/events"
	"souk/internal/events/eventstest"
	"souk/internal/inbox"
	"souk/internal/postgres"
	"souk/services/notifications/app"
	"souk/services/notifications/events"
	"souk/services/notifications/mail"
	"souk/services/notifications/mail/mailtest"
	"souk/services/notifications/store"
	"souk/services/notifications/web"
)

// bench is one scenario's: a database, topics, users, and a mail server.
type bench struct {
	*testing.T
	*place
	pool   *postgres.Pool
	store  *store.Store
	users  *usersServer
	smtp   *mailtest.Server
	group  string
	topics [2]string // of users and of orders
	log    *logged
	out    *kafka.Producer

	settings mail.Settings
	sending  app.Settings
	dir      string
}

func newBench(t *testing.T, p *place, rules mailtest.Rules) *bench {
	t.Helper()
	b := &bench{T: t, place: p, log: &logged{}, dir: filepath.Join(t.TempDir(), "mail")}
	b.pool = p.useOwnSchema(t)
	b.store = store.New(b.pool, slog.New(slog.DiscardHandler))
	if err := b.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.users = startUsers(t, p.users)
	b.smtp = mailtest.Start(t, rules, true, false)
	b.settings = Defaults().ptr().mail()
	b.settings.Host, b.settings.Port, b.settings.TLSConfig = b.smtp.Host, b.smtp.Port, &tls.Config{RootCAs: b.smtp.Roots}
	b.settings.Timeout, b.settings.ReplyTimeout = 2*time.Second, 5*time.Second
	b.sending = app.Settings{Poll: 20 * time.Millisecond, First: 50 * time.Millisecond, Longest: 200 * time.Millisecond, GiveUp: time.Hour}

	suffix := strings.ToLower(rand.Text())
	b.group, b.topics = "notifications-"+suffix, [2]string{events.UsersTopic + "." + suffix, events.OrdersTopic + "." + suffix}
	broker := p.env.KafkaBroker()
	var topics []kafka.Topic
	for _, topic := range b.topics {
		topics = append(topics, kafka.Topic{Name: topic, Partitions: 2}, kafka.Topic{Name: inbox.DeadLetterTopic(topic, b.group), Partitions: 1})
	}
	eventstest.Create(t, broker, topics...)
	var err error
	b.out, err = kafka.Open(limited(t), kafka.Options{Brokers: []string{broker}, ClientID: "test", TransactionalID: suffix, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.out.Close)
	t.Cleanup(func() {
		for _, secret := range []string{"@example.com", "smv_", "spr_", "Lovelace", "pa55word"} {
			if text := b.log.String(); strings.Contains(text, secret) {
				t.Errorf("the log tells %s:\n%s", secret, text)
			}
		}
	})
	return b
}

func (c Config) ptr() *Config { return &c }

// instance of the service, as main wires it.
type instance struct {
	metrics *prometheus.Registry
	stop    func()
}

// start runs an instance; wrap may stand between it and its database.
func (b *bench) start(wrap func(app.Store) app.Store) instance {
	b.Helper()
	log := slog.New(slog.NewTextHandler(io.MultiWriter(b.Output(), b.log), &slog.HandlerOptions{Level: slog.LevelDebug}))
	kept := app.Store(b.store)
	if wrap != nil {
		kept = wrap(kept)
	}
	users := web.NewUsers(b.users.instances, b.cert.ClientTLS("users"))
	files := mail.Files{Dir: b.dir}
	post := mail.Post{Settings: func() mail.Settings { return b.settings }, Credentials: mail.NewCredentials(b.self.Vault()), Files: files}
	sender := app.NewSender(kept, users, post, func() app.Settings { return b.sending }, log)
	in := instance{metrics: prometheus.NewRegistry()}
	in.metrics.MustRegister(sender.Metrics()...)
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() { sender.Run(ctx, 2) })
	wg.Go(func() { app.Sweep(ctx, files, b.store, func() time.Duration { return time.Hour }, log) })
	wg.Go(func() {
		inbox.Run(ctx, b.pool, inbox.Options{
			Group: b.group, Topics: b.topics[:], HandleAll: events.Handler(b.store), Log: log, Metrics: in.metrics, FirstWait: 10 * time.Millisecond, MaxWait: 50 * time.Millisecond,
			Brokers: func(context.Context) ([]string, error) { return []string{b.env.KafkaBroker()}, nil },
		})
	})
	in.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		_ = users.Close(context.Background())
	})
	b.Cleanup(in.stop)
	return in
}

// publish sends events as users and orders do.
func (b *bench) publish(messages ...kafka.Message) {
	b.Helper()
	if err := b.out.Publish(b.Context(), messages); err != nil {
		b.Fatal(err)
	}
}

// message is an event with an id of its own.
func (b *bench) message(topic int, key uuid.UUID, kind, data string) kafka.Message {
	source := [2]string{"/users", "/orders"}[topic]
	e := kafka.New(uuid.NewString(), source, kind, []byte(data))
	e.SetSubject(key.String())
	e.SetTime(time.Now())
	return kafka.Message{Topic: b.topics[topic], Key: key.String(), Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Event: e}
}

// asked is a mail that users asks for, and has the content of.
func (b *bench) asked(user uuid.UUID, kind app.Kind) kafka.Message {
	id := b.users.add(user, kind)
	return b.message(0, user, events.MailRequested, fmt.Sprintf(`{"mail_id":%q,"kind":%q}`, id, kind))
}

func (b *bench) ordered(user uuid.UUID, kind string) kafka.Message {
	b.users.addUser(user)
	order := uuid.New()
	return b.message(1, order, kind, fmt.Sprintf(`{"order_id":%q,"user_id":%q,"number":"S-7","total":{"amount":2580,"currency":"EUR"},
		"lines":[{"sku":"LAMP-1","name":"Lamp","quantity":2,"total":{"amount":2580,"currency":"EUR"}}],"refund":{"amount":1290,"currency":"EUR"},"later":"member"}`, order, user))
}
