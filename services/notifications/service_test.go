package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	kafka "souk/internal/events"
	"souk/internal/events/eventstest"
	"souk/internal/identity"
	"souk/internal/inbox"
	"souk/internal/postgres"
	"souk/internal/testenv"
	"souk/services/notifications/app"
	"souk/services/notifications/events"
	"souk/services/notifications/mail"
	"souk/services/notifications/mail/mailtest"
	"souk/services/notifications/store"
	"souk/services/notifications/web"
)

// place is where all scenarios take place: the real servers, and the identity of the job, which only one test at a time
// can have.
type place struct {
	env     *testenv.Env
	self    *identity.Identity
	cert    *identity.Certificate // of notifications
	users   *tls.Config           // of users, as a server
	secrets testenv.Workload
}

func TestTheService(t *testing.T) {
	p := &place{env: testenv.Start(t)}
	p.secrets = p.env.Workload(t, name)
	p.self = login(t, p.env, name, p.secrets)
	p.cert = certificate(t, p.self)
	p.users = serverOf(t, p.env, "users")
	for what, scenario := range map[string]func(*testing.T, *place){
		"an event that comes five times to two instances is one mail":               oneMail,
		"two instances send each mail of a long queue once":                         shared,
		"each kind of mail has what its event and users say":                        kinds,
		"a mail whose record was lost goes out again under the same Message-ID":     lostRecord,
		"a file whose record was lost is there once":                                lostRecordOfFile,
		"mails wait for users, however it is away":                                  usersAway,
		"what users has no use for is dropped":                                      gone,
		"only users is asked":                                                       impostor,
		"what a server refuses for now is tried again, for good is failed":          refusals,
		"a connection that is cut before the reply leaves a doubt and a repetition": cut,
		"a server that is down is left in peace and then gets everything":           serverDown,
		"a password that was changed in Vault is read again":                        newPassword,
		"what can't be sent for too long is given up":                               givenUp,
		"erasing a user drops what is queued and deletes files":                     erasure,
		"a mail under way when its user is erased leaves no file":                   erasedUnderWay,
		"a poison event is parked and holds up nobody else":                         poison,
		"what is stopped in the middle is soon done by another":                     stopped,
		"the program runs, with users away too":                                     program,
	} {
		t.Run(what, func(t *testing.T) { scenario(t, p) })
	}
}

func login(t *testing.T, env *testenv.Env, service string, w testenv.Workload) *identity.Identity {
	t.Helper()
	id, err := identity.Login(limited(t, 30*time.Second), identity.Options{
		Service: service, VaultAddr: env.VaultAddr(), JWTFile: filepath.Join(w.Secrets, "nomad_vault.jwt"),
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := id.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return id
}

func certificate(t *testing.T, id *identity.Identity) *identity.Certificate {
	t.Helper()
	c, err := id.Certificate(limited(t, 30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func limited(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// useOwnSchema makes a schema and has every later connection of this process work in it.
func (p *place) useOwnSchema(t *testing.T) *postgres.Pool {
	t.Helper()
	open := func() *postgres.Pool {
		credentials, err := p.self.Database(limited(t, 30*time.Second), name)
		if err != nil {
			t.Fatal(err)
		}
		pool, err := postgres.Open(limited(t, 30*time.Second), credentials, p.env.PostgresAddr, name, postgres.Options{MaxConns: 16})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := pool.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return pool
	}
	admin := open()
	schema := pgx.Identifier{"test_" + uuid.NewString()}.Sanitize()
	exec(t, admin, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { exec(t, admin, "DROP SCHEMA "+schema+" CASCADE") })
	t.Setenv("PGOPTIONS", "-c search_path="+schema)
	return open()
}

func exec(t *testing.T, pool *postgres.Pool, sql string, args ...any) {
	t.Helper()
	err := postgres.Tx(context.Background(), pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), sql, args...)
		return err
	})
	if err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

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
	b.out, err = kafka.Open(limited(t, 30*time.Second), kafka.Options{Brokers: []string{broker}, ClientID: "test", TransactionalID: suffix, Log: slog.New(slog.DiscardHandler)})
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
			Group: b.group, Topics: b.topics[:], Handle: events.Handler(b.store), Log: log, Metrics: in.metrics, FirstWait: 10 * time.Millisecond, MaxWait: 50 * time.Millisecond,
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

// row is what the log has of a mail.
type row struct {
	Status           app.Status
	Reason           string
	Attempts, Doubts int
	User             *uuid.UUID
	Order            *string
}

func idOf(m kafka.Message) uuid.UUID { return app.MailID(m.Event.Source(), m.Event.ID()) }

func (b *bench) row(m kafka.Message) (r row) {
	b.Helper()
	err := postgres.Read(b.Context(), b.pool, func(q postgres.Querier) error {
		r = row{}
		rows, err := q.Query(b.Context(), "SELECT status, reason, attempts, doubts, user_id, order_data::text FROM mails WHERE id = $1", idOf(m))
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if len(all) > 0 {
			r = all[0]
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func (b *bench) eventually(what string, holds func() bool) {
	b.Helper()
	for end := time.Now().Add(40 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("never: %s", what)
		}
	}
}

// ends waits for the mail to have that status.
func (b *bench) ends(m kafka.Message, status app.Status) row {
	b.Helper()
	b.eventually(string(status), func() bool { return b.row(m).Status == status })
	return b.row(m)
}

// leaseEnds makes claims lapse now, as they do in time.
func (b *bench) leaseEnds() {
	exec(b.T, b.pool, "UPDATE mails SET due_at = now() WHERE status = 'queued'")
}

// metric sums up a metric's series that have the label values.
func (in instance) metric(t testing.TB, name string, values ...string) (sum float64) {
	t.Helper()
	families, err := in.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			has := " "
			for _, l := range series.GetLabel() {
				has += l.GetValue() + " "
			}
			matches := family.GetName() == name
			for _, v := range values {
				matches = matches && strings.Contains(has, " "+v+" ")
			}
			if matches {
				sum += series.GetCounter().GetValue() + series.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// logged keeps what was logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr())
}
