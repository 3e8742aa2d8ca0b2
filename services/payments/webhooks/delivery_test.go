package webhooks_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	vaultapi "github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"souk/internal/events"
	"souk/internal/identity"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/services/payments/app"
	"souk/services/payments/store"
	"souk/services/payments/webhooks"
)

const confirmed = "souk.orders.order.confirmed.v1"

// shop has outgoing webhooks on the real PostgreSQL and the real Vault. Its receivers are on this machine.
type shop struct {
	*testing.T
	pool          *postgres.Pool
	store         *store.Webhooks
	vault         *vaultapi.Client
	secrets       *webhooks.Secrets
	subscriptions *webhooks.Subscriptions
	webhooks      *app.Webhooks
	settings      webhooks.Settings
}

func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{T: t, pool: postgrestest.Open(t, "payments", postgres.Options{}), settings: webhooks.DefaultSettings()}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	if err := store.New(s.pool, log).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, err := identity.Login(t.Context(), identity.FromEnv("payments"), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := id.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.settings.Networks, s.settings.AllowHTTP, s.settings.Timeout = []string{"127.0.0.0/8"}, true, 2*time.Second
	s.store, s.vault = store.NewWebhooks(s.pool), id.Vault()
	if s.secrets, err = webhooks.NewSecrets(s.vault); err != nil {
		t.Fatal(err)
	}
	s.subscriptions = webhooks.NewSubscriptions(s.store, log)
	s.webhooks = app.NewWebhooks(s.store, s.secrets, func() app.WebhookRules { return app.WebhookRules{AllowHTTP: true} }, s.subscriptions.Changed)
	return s
}

// sender is an instance that sends until the function it returns is called.
func (s *shop) sender(secrets *webhooks.Secrets) (stop func()) {
	s.Helper()
	guard, err := webhooks.NewGuard(s.settings)
	if err != nil {
		s.Fatal(err)
	}
	sender := webhooks.NewSender(s.store, s.subscriptions, secrets, webhooks.NewClient(guard, nil), func() webhooks.Settings { return s.settings },
		slog.New(slog.NewTextHandler(s.Output(), nil)))
	ctx, cancel := context.WithCancel(s.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.subscriptions.Run(ctx) })
	wg.Go(func() { sender.Run(ctx) })
	stop = func() {
		cancel()
		wg.Wait()
	}
	s.Cleanup(stop)
	return stop
}

// tell is what the inbox does with events.
func (s *shop) tell(ms ...events.Message) {
	s.Helper()
	err := postgres.Tx(s.Context(), s.pool, func(tx pgx.Tx) error {
		return webhooks.Handler(s.subscriptions, s.store)(s.Context(), tx, ms)
	})
	if err != nil {
		s.Fatal(err)
	}
}

func order(number int) events.Message {
	e := events.New(fmt.Sprint("event-", number), "/orders", confirmed, fmt.Appendf(nil, `{"order_id":"%d"}`, number))
	e.SetSubject(fmt.Sprint(number))
	e.SetTime(time.UnixMilli(1_700_000_000_000 + int64(number)))
	return events.Message{Topic: "orders.events.v1", Key: fmt.Sprint(number), Event: e}
}

// receiver is somebody's system. It answers with what answer says, and notes what it got.
type receiver struct {
	*httptest.Server
	endpoint app.WebhookEndpoint
	secret   string
	mu       sync.Mutex
	got      []delivered
	answer   func(n int) int // status of the nth request, from 1
}

type delivered struct {
	id     string
	header http.Header
	body   []byte
}

func (s *shop) receiver(answer func(n int) int, patterns ...string) *receiver {
	s.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.got = append(r.got, delivered{req.Header.Get("webhook-id"), req.Header, body})
		n := len(r.got)
		r.mu.Unlock()
		w.WriteHeader(r.answer(n))
	}))
	s.Cleanup(r.Close)
	var err error
	if r.endpoint, r.secret, err = s.webhooks.Create(s.Context(), r.URL+"/hook", patterns, ""); err != nil {
		s.Fatal(err)
	}
	return r
}

func (r *receiver) received() []delivered {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]delivered(nil), r.got...)
}

func always(status int) func(int) int { return func(int) int { return status } }

// deliveries of an endpoint, as soon as all of them are as wanted.
func (s *shop) deliveries(endpoint uuid.UUID, wanted func([]app.WebhookDelivery) bool) []app.WebhookDelivery {
	s.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		page, err := s.webhooks.Deliveries(s.Context(), endpoint, "", uuid.Nil, 100)
		if err != nil {
			s.Fatal(err)
		}
		if wanted(page.Items) {
			return page.Items
		}
		if time.Now().After(deadline) {
			s.Fatalf("the deliveries are %+v", page.Items)
		}
	}
}

func all(n int, status app.WebhookDeliveryStatus, attempts int) func([]app.WebhookDelivery) bool {
	return func(ds []app.WebhookDelivery) bool {
		for _, d := range ds {
			if d.Status != status || len(d.Attempts) != attempts {
				return false
			}
		}
		return len(ds) == n
	}
}

func (s *shop) exec(sql string, args ...any) {
	s.Helper()
	err := postgres.Tx(s.Context(), s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(s.Context(), sql, args...)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shop) endpoint(id uuid.UUID) app.WebhookEndpoint {
	s.Helper()
	e, err := s.webhooks.Endpoint(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return e
}

func TestOutgoingWebhooks(t *testing.T) {
	s := open(t)
	s.Run("an event is delivered once, and only to who wants it", func(t *testing.T) { s.with(t).onceAndSigned() })
	s.Run("a receiver that fails is tried again, and given up", func(t *testing.T) { s.with(t).failing() })
	s.Run("a receiver that is gone gets no more", func(t *testing.T) { s.with(t).gone() })
	s.Run("a slow receiver holds nobody else up", func(t *testing.T) { s.with(t).slow() })
	s.Run("what a dead instance had begun is sent again", func(t *testing.T) { s.with(t).killed() })
	s.Run("secrets overlap", func(t *testing.T) { s.with(t).rotation() })
	s.Run("without Vault nothing is lost", func(t *testing.T) { s.with(t).withoutVault() })
	s.Run("what nobody misses is disabled, and goes", func(t *testing.T) { s.with(t).sweeping() })
}

// with is the same shop in a part of the test, with no endpoints.
func (s *shop) with(t *testing.T) *shop {
	s.exec("DELETE FROM webhook_endpoints")
	other := *s
	other.T = t
	return &other
}

func (s *shop) onceAndSigned() {
	wants, other := s.receiver(always(204), "souk.orders.*"), s.receiver(always(200), "souk.payments.*")
	s.tell(order(1), order(1), order(2)) // one twice in a batch
	s.tell(order(2))                     // and one twice over
	s.sender(s.secrets)
	ds := s.deliveries(wants.endpoint.ID, all(2, app.DeliveryDelivered, 1))
	if d := ds[0]; d.Subject != "2" || d.EventType != confirmed || d.Attempts[0].StatusCode != 204 || d.Attempts[0].Problem != "" || d.FinishedAt == nil {
		s.Errorf("the newest delivery is %+v", d)
	}
	hook, err := standardwebhooks.NewWebhook(wants.secret)
	if err != nil {
		s.Fatal(err)
	}
	for _, got := range wants.received() {
		if err := hook.Verify(got.body, got.header); err != nil {
			s.Error(err)
		}
		if got.id == ds[1].ID.String() && string(got.body) != `{"type":"`+confirmed+`","timestamp":"2023-11-14T22:13:20.001Z","data":{"order_id":"1"}}` {
			s.Errorf("it got %s", got.body)
		}
	}
	if len(wants.received()) != 2 || len(other.received()) != 0 {
		s.Errorf("%d and %d requests came", len(wants.received()), len(other.received()))
	}

	again, err := s.webhooks.Redeliver(s.Context(), wants.endpoint.ID, ds[1].ID)
	if err != nil || again.Status != app.DeliveryPending {
		s.Fatalf("redelivery: %+v, %v", again, err)
	}
	s.deliveries(wants.endpoint.ID, func(ds []app.WebhookDelivery) bool {
		return len(ds[1].Attempts) == 2 && ds[1].Status == app.DeliveryDelivered
	})
	if got := wants.received(); got[2].id != ds[1].ID.String() {
		s.Errorf("it came under the id %s", got[2].id)
	}
	if _, err := s.webhooks.Redeliver(s.Context(), other.endpoint.ID, ds[1].ID); err == nil {
		s.Error("another endpoint's delivery was sent again")
	}
}

func (s *shop) failing() {
	fails := s.receiver(func(n int) int {
		if n > 2 {
			return 200
		}
		return 500
	}, "*")
	s.tell(order(1))
	s.sender(s.secrets)
	d := s.deliveries(fails.endpoint.ID, all(1, app.DeliveryPending, 1))[0]
	if wait := time.Until(*d.NextAttemptAt); wait < 2*time.Second || wait > 6*time.Second || d.Attempts[0].StatusCode != 500 {
		s.Errorf("after the first attempt %+v it waits %v", d.Attempts, wait)
	}
	if s.endpoint(fails.endpoint.ID).FailingSince == nil {
		s.Error("nothing is said of the endpoint")
	}
	s.exec("UPDATE webhook_deliveries SET due_at = now(), attempts = 9 WHERE id = $1", d.ID) // its last
	s.deliveries(fails.endpoint.ID, all(1, app.DeliveryFailed, 2))
	if _, err := s.webhooks.Redeliver(s.Context(), fails.endpoint.ID, d.ID); err != nil {
		s.Fatal(err)
	}
	s.deliveries(fails.endpoint.ID, all(1, app.DeliveryDelivered, 3))
	if s.endpoint(fails.endpoint.ID).FailingSince != nil {
		s.Error("it works, and counts as failing")
	}
}

func (s *shop) gone() {
	gone := s.receiver(always(410), "*")
	s.tell(order(1))
	s.sender(s.secrets)
	d := s.deliveries(gone.endpoint.ID, all(1, app.DeliveryFailed, 1))[0]
	e := s.endpoint(gone.endpoint.ID)
	if e.Status != app.WebhookDisabled || e.Reason != app.WebhookGone || e.Version != 2 {
		s.Errorf("the endpoint is %+v", e)
	}
	s.tell(order(2))
	s.deliveries(gone.endpoint.ID, all(1, app.DeliveryFailed, 1))
	if _, err := s.webhooks.Redeliver(s.Context(), gone.endpoint.ID, d.ID); err == nil {
		s.Error("a disabled endpoint was sent something")
	}
}

func (s *shop) slow() {
	release := make(chan struct{})
	slow := s.receiver(func(int) int { <-release; return 200 }, "*")
	fast := s.receiver(always(200), "*")
	s.settings.Timeout, s.settings.Workers = 20*time.Second, 6
	var ms []events.Message
	for i := range 20 {
		ms = append(ms, order(i))
	}
	s.tell(ms...)
	s.sender(s.secrets)
	s.deliveries(fast.endpoint.ID, all(20, app.DeliveryDelivered, 1))
	if n := len(slow.received()); n > 4 {
		s.Errorf("the slow one has %d requests at once", n)
	}
	close(release)
	s.deliveries(slow.endpoint.ID, all(20, app.DeliveryDelivered, 1))
}

func (s *shop) killed() {
	r := s.receiver(always(200), "*")
	s.tell(order(1))
	slots := []app.WebhookSlots{{Endpoint: r.endpoint.ID, Free: 4}}
	claims, err := s.store.ClaimWebhooks(s.Context(), slots, time.Hour) // by an instance that then dies
	if err != nil || len(claims) != 1 {
		s.Fatalf("claimed %v, %v", claims, err)
	}
	if more, err := s.store.ClaimWebhooks(s.Context(), slots, time.Hour); err != nil || len(more) != 0 {
		s.Errorf("two have it: %v, %v", more, err)
	}
	s.exec("UPDATE webhook_deliveries SET due_at = now()") // the lease is over
	s.sender(s.secrets)
	d := s.deliveries(r.endpoint.ID, all(1, app.DeliveryDelivered, 1))[0]
	if d.Attempts[0].Number != 2 || r.received()[0].id != claims[0].ID.String() {
		s.Errorf("delivered as %+v", d)
	}
	held, err := s.store.SettleWebhook(s.Context(), claims[0], app.WebhookOutcome{At: time.Now(), Problem: "status"}) // it was not dead
	if err != nil || held {
		s.Errorf("it ended what was another's: %v, %v", held, err)
	}
	s.deliveries(r.endpoint.ID, all(1, app.DeliveryDelivered, 1))
}

func (s *shop) rotation() {
	r := s.receiver(always(200), "*")
	s.sender(s.secrets)
	signedBy := func(n int, secrets map[string]bool) {
		s.tell(order(n))
		s.deliveries(r.endpoint.ID, all(n, app.DeliveryDelivered, 1))
		got := r.received()[n-1]
		for secret, good := range secrets {
			hook, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				s.Fatal(err)
			}
			if err := hook.Verify(got.body, got.header); (err == nil) != good {
				s.Errorf("delivery %d: %v, want %v", n, err, good)
			}
		}
	}
	rotate := func(overlap time.Duration) string {
		_, secret, err := s.webhooks.RotateSecret(s.Context(), r.endpoint.ID, overlap)
		if err != nil {
			s.Fatal(err)
		}
		return secret
	}
	first, second := r.secret, rotate(time.Hour)
	signedBy(1, map[string]bool{first: true, second: true})
	third := rotate(time.Hour)
	signedBy(2, map[string]bool{first: true, second: true, third: true})
	if _, _, err := s.webhooks.RotateSecret(s.Context(), r.endpoint.ID, time.Hour); err == nil {
		s.Error("a fourth secret is good")
	}
	fourth := rotate(0) // the others are known to somebody
	signedBy(3, map[string]bool{first: false, second: false, third: false, fourth: true})

	var sealed string
	err := postgres.Read(s.Context(), s.pool, func(q postgres.Querier) error {
		return q.QueryRow(s.Context(), "SELECT sealed FROM webhook_secrets").Scan(&sealed)
	})
	if err != nil {
		s.Fatal(err)
	}
	_, err = s.vault.Logical().WriteWithContext(s.Context(), "transit/decrypt/souk-webhooks", map[string]any{
		"ciphertext": sealed, "associated_data": base64.StdEncoding.EncodeToString(uuid.New().NodeID()),
	})
	if err == nil {
		s.Error("a secret can be read as another endpoint's")
	}
}

func (s *shop) withoutVault() {
	r := s.receiver(always(200), "*")
	config := vaultapi.DefaultConfig()
	config.Address, config.MaxRetries = "http://127.0.0.1:1", 0
	nowhere, err := vaultapi.NewClient(config)
	if err != nil {
		s.Fatal(err)
	}
	sealed, err := webhooks.NewSecrets(nowhere)
	if err != nil {
		s.Fatal(err)
	}
	s.tell(order(1))
	stop := s.sender(sealed)
	s.deliveries(r.endpoint.ID, func(ds []app.WebhookDelivery) bool {
		return len(ds) == 1 && ds[0].Status == app.DeliveryPending && time.Until(*ds[0].NextAttemptAt) > time.Second && time.Until(*ds[0].NextAttemptAt) < 15*time.Second
	})
	stop()
	s.exec("UPDATE webhook_deliveries SET due_at = now()")
	s.sender(s.secrets)
	if d := s.deliveries(r.endpoint.ID, all(1, app.DeliveryDelivered, 1))[0]; d.Attempts[0].Number != 1 {
		s.Errorf("waiting for Vault counted: %+v", d)
	}
}

func (s *shop) sweeping() {
	failing, backlog, fine := s.receiver(always(500), "*"), s.receiver(always(200), "*"), s.receiver(always(200), "souk.payments.*")
	s.exec("UPDATE webhook_endpoints SET failing_since = now() - interval '6 days' WHERE id = $1", failing.endpoint.ID)
	for i := range 3 {
		s.tell(order(i))
	}
	s.exec("DELETE FROM webhook_deliveries WHERE endpoint_id = $1 AND subject = '0'", failing.endpoint.ID)
	disabled, err := s.store.DisableWebhooks(s.Context(), 5*24*time.Hour, 2)
	if err != nil || len(disabled) != 2 || disabled[failing.endpoint.ID] != app.WebhookFailing || disabled[backlog.endpoint.ID] != app.WebhookBacklog {
		s.Errorf("disabled are %v, %v", disabled, err)
	}
	if s.endpoint(fine.endpoint.ID).Status != app.WebhookEnabled {
		s.Error("one that is fine is disabled")
	}
	sweep := func() {
		if _, err := s.store.SweepWebhooks(s.Context(), time.Hour); err != nil {
			s.Fatal(err)
		}
	}
	sweep()
	s.deliveries(backlog.endpoint.ID, all(3, app.DeliveryFailed, 0))
	s.exec("UPDATE webhook_deliveries SET finished_at = now() - interval '2 hours' WHERE endpoint_id = $1 AND subject = '1'", backlog.endpoint.ID)
	if err := s.webhooks.Delete(s.Context(), failing.endpoint.ID, func(int64) bool { return true }); err != nil {
		s.Fatal(err)
	}
	if _, err := s.webhooks.Endpoint(s.Context(), failing.endpoint.ID); err == nil {
		s.Error("it is deleted, and there")
	}
	sweep()
	s.deliveries(backlog.endpoint.ID, all(2, app.DeliveryFailed, 0))
	var left int
	err = postgres.Read(s.Context(), s.pool, func(q postgres.Querier) error {
		return q.QueryRow(s.Context(), "SELECT count(*) FROM webhook_endpoints").Scan(&left)
	})
	if err != nil || left != 2 {
		s.Errorf("%d endpoints are left, %v", left, err)
	}
}
