package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/contracts"
	kafka "souk/internal/events"
	"souk/services/inventory/app"
	"souk/services/inventory/events"
)

// call answers status and body.
func (s service) call(t *testing.T, as *http.Client, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", uuid.NewString())
	}
	res, err := as.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

func message(t *testing.T, topic, source, kind, key string, data any) kafka.Message {
	t.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	m := kafka.Message{Topic: topic, Key: key, Event: kafka.New(uuid.NewString(), source, kind, raw)}
	m.Event.SetSubject(key)
	m.Event.SetDataSchema(contracts.Schema(kind))
	return m
}

// The whole program, on the real topics: a product becomes known, its stock comes in over HTTP, an order reserves and sells
// it over Kafka.
func TestTheProgramSellsWhatTheCatalogueTellsOf(t *testing.T) {
	s := start(t)
	producer, err := kafka.Open(limited(t, 30*time.Second), kafka.Options{
		Brokers: []string{s.broker}, ClientID: "test", TransactionalID: "test-" + uuid.NewString(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	publish := func(messages ...kafka.Message) {
		t.Helper()
		if err := producer.Publish(limited(t, 30*time.Second), messages); err != nil {
			t.Fatal(err)
		}
	}

	product, order, sku := uuid.NewString(), uuid.Must(uuid.NewV7()), "P-"+uuid.NewString()
	publish(message(t, events.ProductsTopic, "/catalog", "souk.catalog.product.created.v1", product, map[string]any{"id": product, "version": 1, "variants": []any{map[string]any{"sku": sku}}}))
	status, answer := 0, ""
	for deadline := time.Now().Add(60 * time.Second); status != 201; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the SKU does not become known: %d %s", status, answer)
		}
		status, answer = s.call(t, s.gateway, "POST", "/v1/inventory/"+sku+"/adjustments", `{"delta":2,"reason":"received"}`)
	}
	commands := []kafka.Message{
		message(t, events.CommandsTopic, "/orders", string(app.Reserve), order.String(), map[string]any{
			"order_id": order, "expires_at": time.Now().Add(time.Hour).UTC(), "lines": []any{map[string]any{"sku": sku, "quantity": 2}},
		}),
		message(t, events.CommandsTopic, "/orders", string(app.Commit), order.String(), map[string]any{"order_id": order}),
	}
	for _, m := range commands {
		if err := contracts.Check(m); err != nil {
			t.Error(err)
		}
	}
	publish(commands...)

	reader, err := kafka.Read(limited(t, 30*time.Second), []string{s.broker}, slog.New(slog.DiscardHandler), app.Topic)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	want := map[string]bool{string(app.ReservationReserved): true, string(app.ReservationCommitted): true, string(app.AvailabilityChanged): true}
	for ctx := limited(t, 60*time.Second); len(want) > 0; {
		m, err := reader.Next(ctx)
		if err != nil {
			t.Fatalf("%v; still missing: %v", err, want)
		}
		if m.Key != order.String() && m.Key != sku {
			continue
		}
		delete(want, m.Event.Type())
		if err := contracts.Check(m); err != nil {
			t.Error(err)
		}
	}
	if status, body := s.call(t, s.gateway, "GET", "/v1/inventory/"+sku, ""); status != 200 || !strings.Contains(body, `"sold":2`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := s.call(t, s.gateway, "GET", "/openapi.yaml", ""); status != 200 || body != string(openAPI) {
		t.Errorf("%d, %d bytes", status, len(body))
	}
	for _, path := range []string{"/v1/inventory/" + sku, "/openapi.yaml", "/internal/reconciliation"} {
		if status, body := s.call(t, s.itself, "GET", path, ""); status != 403 || !strings.Contains(body, "caller-not-allowed") {
			t.Errorf("%s by the service itself: %d %s", path, status, body)
		}
	}
	if status, body := s.call(t, s.gateway, "GET", "/internal/reconciliation", ""); status != 403 {
		t.Errorf("the gateway reconciles: %d %s", status, body)
	}
	res, err := http.Get(fmt.Sprintf("http://%s/metrics", s.admin))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	metrics, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(metrics), `souk_inventory_events_total{event="reservation.committed"}`) {
		t.Errorf("%v: the metrics lack what was decided", err)
	}
}
