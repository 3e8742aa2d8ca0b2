package app_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/services/payments/app"
)

func TestAnEndpointIsHTTPSAndPublicAndWantsSomething(t *testing.T) {
	rules := app.WebhookRules{Address: func(ip netip.Addr) error {
		if ip.IsLoopback() {
			return errors.New("inside")
		}
		return nil
	}}
	dev := app.WebhookRules{AllowHTTP: true}
	orders := []string{"souk.orders.*"}
	for name, test := range map[string]struct {
		url    string
		events []string
		rules  app.WebhookRules
		good   bool
	}{
		"good":                     {"https://shop.example:8443/hook?a=b", orders, rules, true},
		"http":                     {"http://shop.example/hook", orders, rules, false},
		"http in development":      {"http://127.0.0.1:8080/hook", orders, dev, true},
		"an address inside":        {"https://127.0.0.1/hook", orders, rules, false},
		"the same in IPv6":         {"https://[::1]/hook", orders, rules, false},
		"a password":               {"https://user:pass@shop.example/hook", orders, rules, false},
		"a fragment":               {"https://shop.example/hook#x", orders, rules, false},
		"no host":                  {"https:///hook", orders, rules, false},
		"another scheme":           {"file:///etc/passwd", orders, dev, false},
		"relative":                 {"/hook", orders, rules, false},
		"a line break":             {"https://shop.example/\r\nX: y", orders, rules, false},
		"no such port":             {"https://shop.example:70000/", orders, rules, false},
		"too long":                 {"https://shop.example/" + strings.Repeat("x", 2048), orders, rules, false},
		"everything":               {"https://shop.example/", []string{"*"}, rules, true},
		"nothing":                  {"https://shop.example/", nil, rules, false},
		"what never comes":         {"https://shop.example/", []string{"souk.order.*"}, rules, false},
		"another's internals":      {"https://shop.example/", []string{"souk.users.*"}, rules, false},
		"half a word":              {"https://shop.example/", []string{"souk.ord*"}, rules, false},
		"one that comes, outright": {"https://shop.example/", []string{"souk.payments.payment.captured.v1"}, rules, true},
	} {
		_, err := app.NewWebhookEndpoint(test.url, test.events, "", test.rules, time.Now())
		if (err == nil) != test.good || err != nil && errs.KindOf(err) != errs.Unprocessable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnEnabledEndpointIsForgiven(t *testing.T) {
	since := time.Now()
	e := app.WebhookEndpoint{
		Version: 3, URL: "https://shop.example/", Events: []string{"*"}, Status: app.WebhookDisabled, Reason: app.WebhookFailing, FailingSince: &since,
	}
	enabled := app.WebhookEnabled
	for range 2 { // the second time changes nothing
		if err := e.Change(app.WebhookPatch{Status: &enabled}, app.WebhookRules{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if e.Status != app.WebhookEnabled || e.Reason != "" || e.FailingSince != nil || e.Version != 4 {
			t.Errorf("it is %+v", e)
		}
	}
	deleted := app.WebhookStatus("deleted")
	if err := e.Change(app.WebhookPatch{Status: &deleted}, app.WebhookRules{}, time.Now()); err == nil {
		t.Error("a client gave it a status of ours")
	}
}

func TestTheSameEventIsTheSameDelivery(t *testing.T) {
	endpoint, at := uuid.New(), time.UnixMilli(1_700_000_000_123)
	id := app.WebhookDeliveryID(endpoint, "/orders", "1", at)
	if id != app.WebhookDeliveryID(endpoint, "/orders", "1", at) {
		t.Error("its repetition is another")
	}
	for _, other := range []uuid.UUID{
		app.WebhookDeliveryID(uuid.New(), "/orders", "1", at), app.WebhookDeliveryID(endpoint, "/orders", "2", at), app.WebhookDeliveryID(endpoint, "/orders1", "", at),
	} {
		if id == other {
			t.Error("another is the same")
		}
	}
	sec, nsec := id.Time().UnixTime()
	if id.Version() != 7 || id.Variant() != uuid.RFC4122 || !time.Unix(sec, nsec).Equal(at) {
		t.Errorf("%s is no UUIDv7 of its time", id)
	}
}

func TestItIsTriedForThreeDays(t *testing.T) {
	total, attempts := time.Duration(0), 1
	for ; ; attempts++ {
		wait, again := app.WebhookRetry(attempts, 0)
		if !again {
			break
		}
		total += wait
	}
	if attempts != 10 || total < 66*time.Hour || total > 84*time.Hour {
		t.Errorf("%d attempts within %v", attempts, total)
	}
	if wait, _ := app.WebhookRetry(1, time.Hour); wait != time.Hour {
		t.Errorf("a receiver that asks for an hour gets %v", wait)
	}
	if wait, _ := app.WebhookRetry(1, 1000*time.Hour); wait != 6*time.Hour {
		t.Errorf("a receiver that asks for too long gets %v", wait)
	}
}
