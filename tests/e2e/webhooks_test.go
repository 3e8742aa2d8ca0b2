package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// paidFor are the types of the events of an order that goes well.
var paidFor = []string{"souk.orders.order.placed.v1", "souk.payments.payment.authorised.v1", "souk.orders.order.confirmed.v1", "souk.payments.payment.captured.v1"}

func TestWebhooksTellAnOrdersEventsSignedUntilTheReceiverHasThem(t *testing.T) {
	r := receive(t, func(h hook) int { return map[bool]int{true: 500, false: 204}[h.attempt == 1] })
	defer r.Close()
	all, narrow := r.subscribe(t, "/all", "souk.orders.*", "souk.payments.*"), r.subscribe(t, "/narrow", "souk.payments.payment.captured.v1")
	defer unsubscribe(t, all, narrow)
	sku, _ := newSKU(t, 5)
	b := newBuyer(t)
	o := b.buys(t, sku, 2, "pm_sandbox_approve")
	b.sees(t, o.ID, time.Minute, "is complete", complete)
	events := r.has(t, "/all", o.ID, "souk.", time.Minute, paidFor...)
	r.has(t, "/narrow", o.ID, "souk.payments.payment.captured.v1", time.Minute)
	for _, h := range slices.Concat(r.of("/all", o.ID), r.of("/narrow", o.ID)) {
		if h.attempt == 2 && h.since < 4*time.Second {
			t.Errorf("%s was tried again after %s", h.kind, h.since)
		}
		if h.attempt > 2 {
			t.Errorf("%s came %d times", h.kind, h.attempt)
		}
	}
	for _, h := range r.of("/narrow", o.ID) {
		if slices.ContainsFunc(r.of("/all", o.ID), func(other hook) bool { return other.id == h.id }) {
			t.Errorf("two endpoints have a delivery %s", h.id)
		}
	}

	log := deliveriesTo(t, all, o.ID)
	if len(log) != len(events) {
		t.Errorf("the log has %d deliveries, want %d", len(log), len(events))
	}
	for _, d := range log {
		if len(d.Attempts) != 2 || d.Status != "delivered" || d.FinishedAt == nil || d.NextAttemptAt != nil {
			t.Fatalf("the log says %+v", d)
		}
		first, second := d.Attempts[0], d.Attempts[1]
		if first.Number != 1 || first.StatusCode != 500 || first.Problem != "status" || second.Number != 2 || second.StatusCode != 204 || second.Problem != "" {
			t.Errorf("the log says %+v", d.Attempts)
		}
	}
	if e := endpointOf(t, all); e.FailingSince != nil || e.Status != "enabled" {
		t.Errorf("all was delivered, and the endpoint is %+v", e)
	}
	checkBackoffAndRedelivery(t, r, all, log[0].ID)
	checkRotation(t, r, all, log[0].ID)
}

// checkBackoffAndRedelivery has a delivery sent by hand to a receiver that refuses it twice, and then by hand once more.
func checkBackoffAndRedelivery(t *testing.T, r *receiver, e webhookEndpoint, id string) {
	t.Helper()
	r.answers(func(hook) int { return 503 })
	since := time.Now()
	redeliver(t, http.StatusAccepted, e, id)
	d := waitForDelivery(t, e, id, "was refused twice more", func(d delivery) bool { return len(d.Attempts) == 4 })
	if gap := d.Attempts[3].At.Sub(d.Attempts[2].At); gap < 4*time.Second || d.Attempts[2].At.Before(since.Add(-time.Second)) {
		t.Errorf("the attempts were at %s and %s", d.Attempts[2].At, d.Attempts[3].At)
	}
	if d.Status != "pending" || d.NextAttemptAt == nil || time.Until(*d.NextAttemptAt) < 4*time.Minute || time.Until(*d.NextAttemptAt) > 6*time.Minute {
		t.Errorf("after a second failure it is due at %v: %+v", d.NextAttemptAt, d)
	}
	if now := endpointOf(t, e); now.FailingSince == nil || now.Status != "enabled" {
		t.Errorf("nothing works, and the endpoint is %+v", now)
	}
	r.answers(func(hook) int { return 200 })
	redeliver(t, http.StatusAccepted, e, id)
	waitForDelivery(t, e, id, "is delivered by hand", func(d delivery) bool { return d.Status == "delivered" && len(d.Attempts) == 5 })
	redeliver(t, http.StatusNotFound, e, uuid.NewString())
}

// checkRotation wants signatures by the old secret and the new one while both are good, and then by the newest alone.
func checkRotation(t *testing.T, r *receiver, e webhookEndpoint, id string) {
	t.Helper()
	for _, c := range []struct{ overlap, signatures int }{{60, 2}, {0, 1}} {
		var rotated webhookEndpoint
		operatorMust(t, http.StatusOK, "POST", e.path()+"/rotate-secret", map[string]any{"overlap_seconds": c.overlap}, &rotated)
		r.knows(rotated.Secret)
		before := len(r.of("/all", ""))
		redeliver(t, http.StatusAccepted, e, id)
		eventually(t, 20*time.Second, "a delivery after the rotation", func(context.Context) error {
			if len(r.of("/all", "")) == before {
				return errors.New("none came")
			}
			return nil
		})
		h := r.of("/all", "")[before]
		if signatures := strings.Fields(h.signatures); len(signatures) != c.signatures || signatures[0] != "v1,"+signed(rotated.Secret, h) {
			t.Errorf("with an overlap of %d s the signatures are %q", c.overlap, h.signatures)
		}
		waitForDelivery(t, e, id, "is delivered", func(d delivery) bool { return d.Status == "delivered" })
	}
}

func TestWebhooksToADisabledOrDeletedEndpointStop(t *testing.T) {
	r := receive(t, func(h hook) int {
		switch h.path {
		case "/gone":
			return http.StatusGone
		case "/stays":
			return http.StatusOK
		}
		return http.StatusInternalServerError
	})
	defer r.Close()
	disabled, deleted := r.subscribe(t, "/disabled", "souk.orders.*"), r.subscribe(t, "/deleted", "*")
	gone, stays := r.subscribe(t, "/gone", "souk.orders.order.placed.v1"), r.subscribe(t, "/stays", "souk.orders.*")
	defer unsubscribe(t, disabled, deleted, gone, stays)
	sku, _ := newSKU(t, 5)
	b := newBuyer(t)
	o := b.buys(t, sku, 1, "pm_sandbox_approve")
	eventually(t, time.Minute, "everybody hears of the order", func(context.Context) error {
		for _, path := range []string{"/disabled", "/deleted", "/gone", "/stays"} {
			if len(r.of(path, o.ID)) == 0 {
				return errors.New(path + " was not called")
			}
		}
		return nil
	})
	patch := []string{"If-Match", "*", "Content-Type", "application/merge-patch+json"}
	operatorMust(t, http.StatusOK, "PATCH", disabled.path(), map[string]any{"status": "disabled"}, nil, patch...)
	unsubscribe(t, deleted)
	eventually(t, 20*time.Second, "410 disables", func(context.Context) error {
		if e := endpointOf(t, gone); e.Status != "disabled" || e.Reason != "gone" || e.Version != 2 || !e.UpdatedAt.After(gone.UpdatedAt) {
			return fmt.Errorf("it is %+v", e)
		}
		return nil
	})
	b.sees(t, o.ID, time.Minute, "is complete", complete)
	time.Sleep(time.Second) // for what was being sent
	r.answers(func(hook) int { return http.StatusOK })
	before := len(r.of("/disabled", "")) + len(r.of("/deleted", "")) + len(r.of("/gone", ""))
	next := b.buys(t, sku, 1, "pm_sandbox_approve")
	b.sees(t, next.ID, time.Minute, "is complete", complete)
	r.has(t, "/stays", next.ID, "souk.orders.", time.Minute, paidFor...)
	time.Sleep(6 * time.Second) // what they refused would have been sent again by now
	if after := len(r.of("/disabled", "")) + len(r.of("/deleted", "")) + len(r.of("/gone", "")); after != before {
		t.Errorf("they were called %d times more", after-before)
	}

	operatorMust(t, http.StatusNotFound, "GET", deleted.path(), nil, nil)
	operatorMust(t, http.StatusNotFound, "GET", deleted.path()+"/deliveries", nil, nil)
	log := deliveriesTo(t, disabled, o.ID)
	redeliver(t, http.StatusConflict, disabled, log[0].ID)
	waitForDelivery(t, disabled, log[0].ID, "is given up", func(d delivery) bool { return d.Status == "failed" })
	operatorMust(t, http.StatusOK, "PATCH", disabled.path(), map[string]any{"status": "enabled"}, nil, patch...)
	redeliver(t, http.StatusAccepted, disabled, log[0].ID)
	waitForDelivery(t, disabled, log[0].ID, "is delivered after all", func(d delivery) bool { return d.Status == "delivered" })
	if hooks := r.of("/disabled", next.ID); len(hooks) != 0 {
		t.Errorf("what happened while it was disabled came later: %+v", hooks)
	}
}

func TestWebhooksGoNowhereButToTheirURL(t *testing.T) {
	r := receive(t, func(h hook) int { return map[bool]int{true: 307, false: 200}[h.path == "/moved"] })
	defer r.Close()
	kind, nobody := "souk.orders.order.placed.v1", httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	problems := map[string]struct {
		endpoint webhookEndpoint
		want     []string
	}{
		"a redirect":              {r.subscribe(t, "/moved", kind), []string{"redirect"}},
		"nobody there":            {subscribe(t, nobody.URL, kind), []string{"connection"}},
		"no TLS there":            {subscribe(t, strings.Replace(r.URL, "http", "https", 1), kind), []string{"tls"}},
		"an address in two parts": {subscribe(t, "http://169.16689662/latest", kind), []string{"address-not-allowed", "name-not-found", "timeout"}}, // 169.254.169.254 to inet_aton
	}
	for _, p := range problems {
		defer unsubscribe(t, p.endpoint)
	}
	sku, _ := newSKU(t, 5)
	o := newBuyer(t).buys(t, sku, 1, "pm_sandbox_approve")
	for name, p := range problems {
		eventually(t, time.Minute, "the log of "+name, func(context.Context) error {
			for _, d := range deliveriesTo(t, p.endpoint, o.ID) {
				if len(d.Attempts) == 0 {
					continue
				}
				if !slices.Contains(p.want, d.Attempts[0].Problem) || d.Status == "delivered" {
					t.Errorf("%s: %+v, want %v", name, d, p.want)
				}
				return nil
			}
			return errors.New("it has no attempt")
		})
	}
	if hooks := r.of("/elsewhere", ""); len(hooks) > 0 {
		t.Errorf("the redirect was followed: %+v", hooks)
	}
}

// TestWebhooksGoOnAfterPaymentsIsKilled kills it while one endpoint's receiver has a delivery in its hands and another's
// has refused one.
func TestWebhooksGoOnAfterPaymentsIsKilled(t *testing.T) {
	r := receive(t, func(h hook) int { return map[bool]int{true: hold, false: 500}[h.path == "/held"] })
	defer r.Close()
	held, refused := r.subscribe(t, "/held", "*"), r.subscribe(t, "/refused", "*")
	defer unsubscribe(t, held, refused)
	sku, _ := newSKU(t, 5)
	b := newBuyer(t)
	o := b.buys(t, sku, 1, "pm_sandbox_approve")
	eventually(t, time.Minute, "both are called", func(context.Context) error {
		if len(r.of("/held", o.ID)) == 0 || len(r.of("/refused", o.ID)) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	victim := taskProcess(t, "payments")
	if err := syscall.Kill(int(victim.Pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	r.answers(func(hook) int { return 200 })
	next := b.buys(t, sku, 1, "pm_sandbox_approve") // what is acknowledged meanwhile is told as well
	for _, id := range []string{o.ID, next.ID} {
		end := b.sees(t, id, 2*time.Minute, "has ended", func(o order) bool { return complete(o) || o.Status == "failed" && o.Settled })
		t.Logf("order %s is %s %s", end.Number, end.Status, end.Reason)
		kinds := paidFor
		if end.Status == "failed" { // which is all right if payments was away for too long
			kinds = []string{"souk.orders.order.placed.v1", "souk.orders.order.failed.v1"}
		}
		r.has(t, "/refused", id, "souk.", 2*time.Minute, kinds...)
		r.has(t, "/held", id, "souk.", 3*time.Minute, kinds...) // the lease of what was cut off lasts 90 s
	}
	t.Logf("all was told %s after the kill", time.Since(killed).Round(time.Second))
	if now := taskProcess(t, "payments"); now.Pid == victim.Pid {
		t.Errorf("process %d was not replaced", now.Pid)
	}
	for _, e := range []webhookEndpoint{held, refused} {
		for _, d := range append(deliveriesTo(t, e, o.ID), deliveriesTo(t, e, next.ID)...) {
			waitForDelivery(t, e, d.ID, "is delivered", func(d delivery) bool { return d.Status == "delivered" })
		}
	}
	first := r.of("/held", o.ID)[0].id
	d := waitForDelivery(t, held, first, "is in the log", func(delivery) bool { return true })
	if len(d.Attempts) != 1 || d.Attempts[0].Number != 2 {
		t.Errorf("of the attempt that was cut off the log says %+v", d.Attempts)
	}
}

func TestBadWebhookEndpointsAreRefused(t *testing.T) {
	const path, good, kind = "/v1/webhook-endpoints", `"url":"https://erp.example/hook"`, `"events":["souk.orders.*"]`
	e := subscribe(t, "https://erp.example/hook", "souk.orders.*")
	defer unsubscribe(t, e)
	type bad struct {
		method, path, body string
		status             int
		header             []string
	}
	cases := map[string]bad{
		"no URL":                 {"POST", path, `{` + kind + `}`, 422, nil},
		"no events":              {"POST", path, `{` + good + `}`, 422, nil},
		"21 patterns":            {"POST", path, `{` + good + `,"events":["*"` + manyPatterns(20) + `]}`, 422, nil},
		"events as a text":       {"POST", path, `{` + good + `,"events":"*"}`, 400, nil},
		"an operator for a URL":  {"POST", path, `{"url":{"$ne":""},` + kind + `}`, 400, nil},
		"a secret of one's own":  {"POST", path, `{` + good + `,` + kind + `,"secret":"whsec_AAAA"}`, 400, nil},
		"a member twice":         {"POST", path, `{` + good + `,` + good + `,` + kind + `}`, 400, nil},
		"no JSON":                {"POST", path, `<xml/>`, 400, nil},
		"another media type":     {"POST", path, `{` + good + `,` + kind + `}`, 415, []string{"Content-Type", "text/plain"}},
		"two lines":              {"POST", path, `{` + good + `,` + kind + `,"description":"a\nb"}`, 422, nil},
		"too long":               {"POST", path, `{"url":"https://erp.example/` + strings.Repeat("x", 2048) + `",` + kind + `}`, 422, nil},
		"too large":              {"POST", path, `{"url":"https://erp.example/` + strings.Repeat("x", 2<<20) + `",` + kind + `}`, 413, nil},
		"blind change":           {"PATCH", e.path(), `{"status":"disabled"}`, 428, []string{"Content-Type", "application/merge-patch+json"}},
		"stale change":           {"PATCH", e.path(), `{"status":"disabled"}`, 412, []string{"Content-Type", "application/merge-patch+json", "If-Match", `"9"`}},
		"blind deletion":         {"DELETE", e.path(), ``, 428, nil},
		"changed to an inside":   {"PATCH", e.path(), `{"url":"http://10.0.0.1/"}`, 422, []string{"Content-Type", "application/merge-patch+json", "If-Match", "*"}},
		"an odd status":          {"PATCH", e.path(), `{"status":"deleted"}`, 422, []string{"Content-Type", "application/merge-patch+json", "If-Match", "*"}},
		"an overlap of a month":  {"POST", e.path() + "/rotate-secret", `{"overlap_seconds":2592000}`, 422, nil},
		"an odd cursor":          {"GET", e.path() + "/deliveries?cursor=x", ``, 400, nil},
		"an odd status to list":  {"GET", e.path() + "/deliveries?status=lost", ``, 400, nil},
		"no such endpoint":       {"GET", path + "/" + uuid.NewString(), ``, 404, nil},
		"no id":                  {"GET", path + "/%27%20OR%201=1--", ``, 404, nil},
		"redelivery of nothing":  {"POST", e.path() + "/deliveries/" + uuid.NewString() + "/redeliver", ``, 404, nil},
		"redelivery for nobody":  {"POST", path + "/" + uuid.NewString() + "/deliveries/" + uuid.NewString() + "/redeliver", ``, 404, nil},
		"without authentication": {"POST", path, `{` + good + `,` + kind + `}`, 401, []string{"Authorization", ""}},
	}
	for _, url := range []string{
		"http://10.0.0.1/", "https://192.168.1.1/", "https://172.16.0.1:8080/", "http://169.254.169.254/latest/meta-data", "https://100.64.0.1/", "http://0.0.0.0/", "https://[::]/",
		"https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fd00::1]/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/", "https://224.0.0.1/", "https://255.255.255.255/",
		"file:///etc/passwd", "ftp://erp.example/", "gopher://erp.example/", "javascript:alert(1)", "//erp.example/", "/hook", "https:///hook", "https:erp.example", "",
		"https://user:pass@erp.example/", "https://erp.example/#x", "https://erp.example:0/", "https://erp.example:65536/", "https://erp.example:/", "https://erp.example/ x", "https://érp.example/",
	} {
		cases["URL "+url] = bad{"POST", path, fmt.Sprintf(`{"url":%q,%s}`, url, kind), 422, nil}
	}
	for _, pattern := range []string{"souk.users.*", "souk.order.*", "souk.ord*", "souk.orders.order.exploded.v1", "souk.orders.order.placed.v2", "**", ".*", "souk..*", ""} {
		cases["event "+pattern] = bad{"POST", path, fmt.Sprintf(`{%s,"events":["souk.orders.*",%q]}`, good, pattern), 422, nil}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			token, err := operator.Token()
			if err != nil {
				t.Fatal(err)
			}
			header := map[string]string{"Authorization": bearer(token.AccessToken)}
			for i := 0; i+1 < len(c.header); i += 2 {
				header[c.header[i]] = c.header[i+1]
			}
			var body any
			if c.body != "" {
				body = []byte(c.body)
			}
			status, answered, answer, err := fetchWithHeader(http.DefaultClient, c.method, c.path, header, body)
			if err != nil {
				t.Fatal(err)
			}
			var p problem
			if err := json.Unmarshal(answer, &p); err != nil || status != c.status || p.Code == "" || p.Detail == "" || !strings.HasPrefix(answered.Get("Content-Type"), "application/problem+json") {
				t.Errorf("%d %s %.500s, want %d and what to change", status, answered.Get("Content-Type"), answer, c.status)
			}
		})
	}
	var list struct{ Items []webhookEndpoint }
	operatorMust(t, http.StatusOK, "GET", path, nil, &list)
	for _, left := range list.Items {
		if strings.Contains(left.URL, "example") && left.ID != e.ID {
			t.Errorf("an endpoint was made: %+v", left)
		}
	}
	if now := endpointOf(t, e); now.Version != e.Version {
		t.Errorf("the endpoint was changed: %+v", now)
	}
}

func manyPatterns(n int) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, `,"souk.orders.%d"`, i)
	}
	return all.String()
}
