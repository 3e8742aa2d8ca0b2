package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

type webhookEndpoint struct {
	ID           string     `json:"id"`
	Version      int64      `json:"version"`
	URL          string     `json:"url"`
	Status       string     `json:"status"`
	Reason       string     `json:"reason"`
	FailingSince *time.Time `json:"failing_since"`
	UpdatedAt    time.Time  `json:"updated_at"`
	Secret       string     `json:"secret"`
}

func (e webhookEndpoint) path() string { return "/v1/webhook-endpoints/" + e.ID }

func subscribe(t *testing.T, url string, events ...string) (e webhookEndpoint) {
	t.Helper()
	operatorMust(t, http.StatusCreated, "POST", "/v1/webhook-endpoints", map[string]any{"url": url, "events": events, "description": t.Name()}, &e)
	return e
}

// unsubscribe deletes endpoints, unless they are already.
func unsubscribe(t *testing.T, endpoints ...webhookEndpoint) {
	t.Helper()
	for _, e := range endpoints {
		status, answer, err := fetch(http.DefaultClient, "DELETE", e.path(), map[string]string{"If-Match": "*"}, nil)
		if err != nil || status != http.StatusNoContent && status != http.StatusNotFound {
			t.Errorf("DELETE %s: %d %s %v", e.path(), status, answer, err)
		}
	}
}

func endpointOf(t *testing.T, e webhookEndpoint) (now webhookEndpoint) {
	t.Helper()
	operatorMust(t, http.StatusOK, "GET", e.path(), nil, &now)
	return now
}

// delivery is a line of an endpoint's log.
type delivery struct {
	ID            string     `json:"id"`
	EventType     string     `json:"event_type"`
	Subject       string     `json:"subject"`
	Status        string     `json:"status"`
	FinishedAt    *time.Time `json:"finished_at"`
	NextAttemptAt *time.Time `json:"next_attempt_at"`
	Attempts      []struct {
		Number     int       `json:"number"`
		At         time.Time `json:"at"`
		StatusCode int       `json:"status_code"`
		Problem    string    `json:"problem"`
	} `json:"attempts"`
}

// deliveriesTo are the lines of an endpoint's log about an order, page by page.
func deliveriesTo(t *testing.T, e webhookEndpoint, orderID string) (about []delivery) {
	t.Helper()
	for next := e.path() + "/deliveries?limit=3"; next != ""; {
		var page struct {
			Items []delivery `json:"items"`
			Next  string     `json:"next"`
		}
		operatorMust(t, http.StatusOK, "GET", next, nil, &page)
		for _, d := range page.Items {
			if orderID == "" || d.Subject == orderID {
				about = append(about, d)
			}
		}
		next = page.Next
	}
	return about
}

// waitForDelivery waits until a line of an endpoint's log is as it should be.
func waitForDelivery(t *testing.T, e webhookEndpoint, id, what string, as func(delivery) bool) (found delivery) {
	t.Helper()
	eventually(t, time.Minute, "delivery "+what, func(context.Context) error {
		for _, found = range deliveriesTo(t, e, "") {
			if found.ID != id {
				continue
			}
			if !as(found) {
				return fmt.Errorf("it is %+v", found)
			}
			return nil
		}
		return errors.New("the log does not have it")
	})
	return found
}

func redeliver(t *testing.T, want int, e webhookEndpoint, id string) {
	t.Helper()
	operatorMust(t, want, "POST", e.path()+"/deliveries/"+id+"/redeliver", nil, nil)
}

// told reads from Kafka what orders and payments say of an order, when all these types are among it: each event as a
// receiver should see it.
func told(t *testing.T, orderID string, kinds ...string) (events map[string]bool) {
	t.Helper()
	eventually(t, 30*time.Second, "the order's events in Kafka", func(context.Context) error {
		events = map[string]bool{}
		var all []string
		for _, m := range recorded(t, "orders.events.v1", "payments.events.v1") {
			if string(m.Key) != orderID {
				continue
			}
			headers := map[string]string{}
			for _, h := range m.Headers {
				headers[h.Key] = string(h.Value)
			}
			at, err := time.Parse(time.RFC3339Nano, headers["ce_time"])
			if err != nil {
				t.Fatalf("the time of %v: %v", headers, err)
			}
			all = append(all, headers["ce_type"])
			events[webhookMessage{headers["ce_type"], at, m.Value}.text()] = true
		}
		for _, kind := range kinds {
			if !slices.Contains(all, kind) {
				return fmt.Errorf("there are only %v", all)
			}
		}
		return nil
	})
	return events
}

// recorded is all that topics have at the moment.
func recorded(t *testing.T, topics ...string) (all []*kafka.Message) {
	t.Helper()
	consumer, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": env.KafkaBroker(), "group.id": "e2e-webhooks", "enable.auto.commit": false,
		"isolation.level": "read_committed", "enable.partition.eof": true})
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	var partitions []kafka.TopicPartition
	for _, topic := range topics {
		known, err := consumer.GetMetadata(&topic, false, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range known.Topics[topic].Partitions {
			partitions = append(partitions, kafka.TopicPartition{Topic: &topic, Partition: p.ID, Offset: kafka.OffsetBeginning})
		}
	}
	if err := consumer.Assign(partitions); err != nil {
		t.Fatal(err)
	}
	ends := map[string]bool{}
	for deadline := time.Now().Add(20 * time.Second); len(ends) < len(partitions); {
		switch e := consumer.Poll(500).(type) {
		case *kafka.Message:
			all = append(all, e)
		case kafka.PartitionEOF:
			ends[fmt.Sprint(*e.Topic, e.Partition)] = true
		}
		if time.Now().After(deadline) {
			t.Fatalf("of %v only %v were read to their ends", topics, ends)
		}
	}
	return all
}

// only are those of the events whose type begins so.
func only(events map[string]bool, kind string) map[string]bool {
	chosen := map[string]bool{}
	for text := range events {
		if strings.HasPrefix(text, kind) {
			chosen[text] = true
		}
	}
	return chosen
}

// webhookMessage is the body of a delivery.
type webhookMessage struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

// text is the same for the same event.
func (m webhookMessage) text() string {
	var data bytes.Buffer
	if err := json.Compact(&data, m.Data); err != nil {
		return err.Error()
	}
	return m.Type + " " + m.Timestamp.UTC().Format(time.RFC3339Nano) + " " + data.String()
}

// hold is the answer that does not come before the caller goes.
const hold = 0

// hook is one call of a receiver.
type hook struct {
	path, id, kind, order string
	message               string // webhookMessage.text
	signatures            string
	timestamp             string
	body                  []byte
	attempt               int           // of this id, from 1
	since                 time.Duration // the attempt before
	at                    time.Time
	answer                int
}

// receiver is somebody's server for webhooks. It believes nothing that is not signed by a secret that it knows.
type receiver struct {
	*httptest.Server
	t       *testing.T
	mu      sync.Mutex
	secrets []string
	answer  func(hook) int
	hooks   []hook
}

func receive(t *testing.T, answer func(hook) int) *receiver {
	t.Helper()
	r := &receiver{t: t, answer: answer}
	r.Server = httptest.NewServer(r)
	return r
}

func (r *receiver) subscribe(t *testing.T, path string, events ...string) webhookEndpoint {
	t.Helper()
	e := subscribe(t, r.URL+path, events...)
	r.knows(e.Secret)
	return e
}

func (r *receiver) knows(secret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, secret)
}

func (r *receiver) answers(answer func(hook) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the caller was killed
	}
	var m webhookMessage
	var about struct {
		OrderID string `json:"order_id"`
	}
	if err := errors.Join(json.Unmarshal(body, &m), json.Unmarshal(m.Data, &about)); err != nil || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%s %s %v: %s: %v", req.Method, req.URL, req.Header, body, err)
	}
	h := hook{
		path: req.URL.Path, id: req.Header.Get("Webhook-Id"), kind: m.Type, order: about.OrderID, message: m.text(), body: body,
		signatures: req.Header.Get("Webhook-Signature"), timestamp: req.Header.Get("Webhook-Timestamp"), attempt: 1, at: time.Now(),
	}
	r.mu.Lock()
	r.check(h)
	for _, before := range r.hooks {
		if before.id == h.id {
			h.attempt, h.since = before.attempt+1, h.at.Sub(before.at)
			if !bytes.Equal(before.body, h.body) {
				r.t.Errorf("%s came with another body:\n%s\n%s", h.id, before.body, h.body)
			}
		}
	}
	h.answer = r.answer(h)
	r.hooks = append(r.hooks, h)
	r.mu.Unlock()
	if h.answer == hold {
		<-req.Context().Done()
		return
	}
	if h.answer == http.StatusTemporaryRedirect {
		w.Header().Set("Location", r.URL+"/elsewhere")
	}
	w.WriteHeader(h.answer)
}

// check is what Standard Webhooks asks of a receiver.
func (r *receiver) check(h hook) {
	seconds, err := strconv.ParseInt(h.timestamp, 10, 64)
	if err != nil || h.at.Sub(time.Unix(seconds, 0)).Abs() > time.Minute {
		r.t.Errorf("%s was signed at %q, not now", h.id, h.timestamp)
	}
	for signature := range strings.FieldsSeq(h.signatures) {
		value, is := strings.CutPrefix(signature, "v1,")
		for _, secret := range r.secrets {
			if is && hmac.Equal([]byte(value), []byte(signed(secret, h))) {
				return
			}
		}
	}
	r.t.Errorf("%s %s is signed by nobody: %q", h.path, h.id, h.signatures)
}

// signed is the signature that a secret makes.
func signed(secret string, h hook) string {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return err.Error()
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", h.id, h.timestamp, h.body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// of are the calls about an order, in their order.
func (r *receiver) of(path, orderID string) (hooks []hook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.hooks {
		if h.path == path && (orderID == "" || h.order == orderID) {
			hooks = append(hooks, h)
		}
	}
	return hooks
}

// has waits until the receiver has accepted every event of an order whose type begins so, each under one id, and nothing
// else. Kafka must have all of kinds by then.
func (r *receiver) has(t *testing.T, path, orderID, prefix string, limit time.Duration, kinds ...string) (events map[string]bool) {
	t.Helper()
	events = only(told(t, orderID, kinds...), prefix)
	eventually(t, limit, "the events at "+path, func(context.Context) error {
		accepted := map[string]bool{}
		for _, h := range r.of(path, orderID) {
			if h.answer/100 == 2 {
				accepted[h.message] = true
			}
		}
		for text := range events {
			if !accepted[text] {
				return fmt.Errorf("%d came, not %s", len(accepted), text)
			}
		}
		return nil
	})
	ids := map[string]string{}
	for _, h := range r.of(path, orderID) {
		if first, known := ids[h.message]; known && first != h.id {
			t.Errorf("%s came as %s and as %s", h.message, first, h.id)
		}
		ids[h.message] = h.id
	}
	if len(ids) > len(events) { // there may be later ones
		events = only(told(t, orderID), prefix)
	}
	for text, id := range ids {
		if !events[text] {
			t.Errorf("%s got %s as %s, which nobody published, or it did not ask for", path, text, id)
		}
	}
	return events
}
