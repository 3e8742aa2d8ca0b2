package web_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/internal/money"
	"souk/services/payments/app"
	"souk/services/payments/provider/sandbox"
)

func TestTheAPI(t *testing.T) {
	a := serve(t)
	for _, x := range []struct {
		name string
		test func(*api, *testing.T)
	}{
		{"a payment by hand, from intent to refund", (*api).life},
		{"an automatic payment is captured with its confirmation", (*api).automatic},
		{"each refusal of the provider is told", (*api).refused},
		{"fifty confirmations with one key charge once", (*api).oneKey},
		{"fifty confirmations without a key charge once", (*api).noKey},
		{"a key is one request's and its user's own", (*api).keys},
		{"refunds at once never give back more than was captured", (*api).refundRace},
		{"a late webhook ends what is processing", (*api).late},
		{"webhooks with bad signatures, old times and replays have no effect", (*api).hostileWebhooks},
		{"bad amounts and bodies are refused and change nothing", (*api).badInput},
		{"who may do and see what", (*api).access},
		{"the payment of an order is moved by the order alone", (*api).ofOrder},
		{"refunds come in pages", (*api).pages},
		{"the books are shown to reconcile", (*api).books},
	} {
		t.Run(x.name, func(t *testing.T) {
			own := *a
			own.t = t
			x.test(&own, t)
		})
	}
}

func (a *api) life(t *testing.T) {
	i := a.intent(1290, sandbox.Approve)
	if i.Status != app.RequiresConfirmation || i.header.Get("Location") != "/v1/payment-intents/"+i.ID.String() || i.header.Get("ETag") != `"1"` {
		t.Errorf("made %+v", i.View)
	}
	a.move(409, i, "capture")
	if i = a.move(200, i, "confirm"); i.Status != app.IsAuthorised {
		t.Errorf("confirmed: %+v", i.View)
	}
	a.move(409, i, "confirm")
	if i = a.move(200, i, "capture"); i.Status != app.IsCaptured || i.Captured != (money.Amount{Minor: 1290, Currency: "EUR"}) {
		t.Errorf("captured: %+v", i.View)
	}
	a.move(409, i, "capture")
	a.move(409, i, "cancel")
	if r := a.refund(201, i, uuid.NewString(), `{"amount":290,"currency":"EUR"}`); r.Refund.Status != app.RefundSucceeded {
		t.Errorf("refunded: %+v", r.Refund)
	}
	if r := a.refund(409, i, uuid.NewString(), `{"amount":1001,"currency":"EUR"}`); r.Code != "refund-exceeds-captured" {
		t.Errorf("too much: %s", r.Code)
	}
	if r := a.refund(422, i, uuid.NewString(), `{"amount":1,"currency":"USD"}`); r.Code != "currency-mismatch" {
		t.Errorf("another currency: %s", r.Code)
	}
	if r := a.refund(201, i, uuid.NewString(), ""); r.Refund.Amount.Minor != 1000 {
		t.Errorf("the rest: %+v", r.Refund)
	}
	a.refund(409, i, uuid.NewString(), "")
	read := a.want(200, call{method: "GET", path: "/v1/payment-intents/" + i.ID.String()})
	if read.Refunded.Minor != 1290 || read.header.Get("ETag") != fmt.Sprintf(`"%d"`, read.Version) {
		t.Errorf("in the end it is %+v", read.View)
	}
	a.want(304, call{method: "GET", path: "/v1/payment-intents/" + i.ID.String(), header: http.Header{"If-None-Match": {read.header.Get("ETag")}}})

	void := a.intent(100, sandbox.Approve)
	a.move(200, void, "confirm")
	if void = a.move(200, void, "cancel"); void.Status != app.IsVoided || a.entries(void.ID, app.Voided) != 1 {
		t.Errorf("cancelled: %+v", void.View)
	}
	if again := a.move(200, void, "cancel"); again.Version != void.Version {
		t.Errorf("cancelled again: %+v", again.View)
	}
	a.move(409, void, "confirm")
}

func (a *api) automatic(t *testing.T) {
	i := a.want(201, call{method: "POST", path: "/v1/payment-intents", key: uuid.NewString(), body: `{"amount":{"amount":5,"currency":"JPY"},"reference":"INV 7"}`})
	if i.Status != app.RequiresMethod || i.CaptureMethod != app.Automatic || i.Reference != "INV 7" {
		t.Errorf("made %+v", i.View)
	}
	path := "/v1/payment-intents/" + i.ID.String() + "/confirm"
	if got := a.want(422, call{method: "POST", path: path}); got.Code != "payment-method-required" {
		t.Errorf("without a method: %s", got.Code)
	}
	if i = a.want(200, call{method: "POST", path: path, body: `{"payment_method":"pm_sandbox_approve"}`}); i.Status != app.IsCaptured || i.Captured.Minor != 5 {
		t.Errorf("confirmed: %+v", i.View)
	}
}

func (a *api) refused(t *testing.T) {
	for method, reason := range map[string]string{
		sandbox.Decline: "card_declined", sandbox.InsufficientFunds: "insufficient_funds", "pm_none": "unknown_payment_method",
	} {
		if i := a.move(200, a.intent(100, method), "confirm"); i.Status != app.IsDeclined || i.Reason != reason {
			t.Errorf("%s: %+v", method, i.View)
		}
	}
	if i := a.move(200, a.intent(100, sandbox.ErrorOnce), "confirm"); i.Status != app.IsAuthorised || a.entries(i.ID, app.Authorised) != 1 {
		t.Errorf("after an error: %+v", i.View)
	}
	i := a.intent(100, sandbox.CaptureFails)
	a.move(200, i, "confirm")
	if i = a.move(200, i, "capture"); i.Status != app.CaptureFailed || i.Reason != "capture_refused" {
		t.Errorf("not captured: %+v", i.View)
	}
	a.move(200, i, "cancel")
	i = a.intent(100, sandbox.Timeout)
	if i = a.move(202, i, "confirm"); i.Status != app.Authorising {
		t.Errorf("without an answer: %+v", i.View)
	}
	if i = a.move(200, i, "cancel"); i.Status != app.IsVoided || a.entries(i.ID, app.Voided) != 1 {
		t.Errorf("given up: %+v", i.View)
	}
}

// race makes the same request n times at once.
func (a *api) race(n int, c call) (byStatus map[int][]answer) {
	byStatus = map[int][]answer{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			got := a.do(c)
			mu.Lock()
			defer mu.Unlock()
			byStatus[got.status] = append(byStatus[got.status], got)
		})
	}
	wg.Wait()
	return byStatus
}

func (a *api) oneKey(t *testing.T) {
	i := a.intent(100, sandbox.Approve)
	c := call{method: "POST", path: "/v1/payment-intents/" + i.ID.String() + "/confirm", token: a.staff, key: uuid.NewString()}
	got := a.race(50, c)
	for status, all := range got {
		for _, x := range all {
			if status != 200 && x.Code != "idempotency-in-flight" {
				t.Errorf("%d %s", status, x.body)
			}
		}
	}
	if len(got[200]) == 0 {
		t.Fatal("nobody was answered")
	}
	again, originals := a.want(200, c), 0
	for _, x := range append(got[200], again) {
		if string(x.body) != string(again.body) || x.Status != app.IsAuthorised {
			t.Errorf("answers differ:\n%s\n%s", x.body, again.body)
		}
		if x.header.Get("Idempotent-Replayed") == "" {
			originals++
		}
	}
	if originals != 1 || a.entries(i.ID, app.Authorised) != 1 {
		t.Errorf("%d originals; the bank has authorised %d times", originals, a.entries(i.ID, app.Authorised))
	}
	c.path = "/v1/payment-intents/" + i.ID.String() + "/confirm"
	c.body = `{"payment_method":"pm_sandbox_decline"}`
	if other := a.want(422, c); other.Code != "idempotency-key-reused" {
		t.Errorf("the key with another body: %s", other.Code)
	}
	a.move(200, i, "capture")
	c.body = ""
	if later := a.want(200, c); string(later.body) != string(again.body) {
		t.Errorf("later the key is answered with %s", later.body)
	}
}

func (a *api) noKey(t *testing.T) {
	i := a.intent(100, sandbox.Approve)
	for _, move := range []string{"confirm", "capture"} {
		got := a.race(50, call{method: "POST", path: "/v1/payment-intents/" + i.ID.String() + "/" + move, token: a.staff})
		if len(got[200]) != 1 || len(got[409]) != 49 {
			t.Errorf("%s: %d done, %d refused", move, len(got[200]), len(got[409]))
		}
	}
	if a.entries(i.ID, app.Authorised) != 1 || a.entries(i.ID, app.Captured) != 1 {
		t.Error("the bank was asked more than once")
	}
}

func (a *api) keys(t *testing.T) {
	c := call{method: "POST", path: "/v1/payment-intents", token: a.staff, key: uuid.NewString(), body: `{"amount":{"amount":100,"currency":"EUR"}}`}
	got := a.race(20, c)
	made := a.want(201, c)
	for _, x := range got[201] {
		if x.ID != made.ID || x.header.Get("Location") != made.header.Get("Location") {
			t.Errorf("made %s and %s", x.ID, made.ID)
		}
	}
	if len(got[201])+len(got[409]) != 20 || made.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("answers: %v", got)
	}
	c.token = a.issuer.Scoped("payments:write")
	if theirs := a.want(201, c); theirs.ID == made.ID {
		t.Error("another user's key gives the first one's intent")
	}
	i := a.intent(100, sandbox.Approve)
	a.move(200, i, "confirm")
	a.move(200, i, "capture")
	key := uuid.NewString()
	first, second := a.refund(201, i, key, `{"amount":10,"currency":"EUR"}`), a.refund(201, i, key, `{"amount":10,"currency":"EUR"}`)
	if string(first.body) != string(second.body) || a.entries(i.ID, app.Refunded) != 1 {
		t.Errorf("refunded %s and %s", first.body, second.body)
	}
	a.refund(422, i, key, `{"amount":20,"currency":"EUR"}`)
	c = call{method: "POST", path: "/v1/refunds", body: c.body, wrong: true}
	if got := a.want(400, c); got.Code != "idempotency-key-required" {
		t.Errorf("without a key: %s", got.Code)
	}
}

func (a *api) refundRace(t *testing.T) {
	i := a.intent(1000, sandbox.Approve)
	a.move(200, i, "confirm")
	a.move(200, i, "capture")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got := a.do(call{method: "POST", path: "/v1/refunds", token: a.staff, key: uuid.NewString(),
				body: `{"payment_intent_id":"` + i.ID.String() + `","reason":"damaged","amount":{"amount":300,"currency":"EUR"}}`})
			if got.status != 201 && got.Code != "refund-exceeds-captured" {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	wg.Wait()
	read := a.want(200, call{method: "GET", path: "/v1/payment-intents/" + i.ID.String()})
	if read.Refunded.Minor != 900 || a.entries(i.ID, app.Refunded) != 3 || a.entries(i.ID, app.Failed) != 0 {
		t.Errorf("of 1000, refunds of 300 have given back %d", read.Refunded.Minor)
	}
}

func (a *api) late(t *testing.T) {
	i := a.intent(100, sandbox.LateWebhook)
	if i = a.move(200, i, "confirm"); i.Status != app.IsAuthorised {
		t.Errorf("after the webhook: %+v", i.View)
	}
	var notices int
	if err := a.pool.QueryRow(t.Context(), "SELECT count(*) FROM provider_notices WHERE id = $1", "evt_"+i.ID.String()+":authorise").Scan(&notices); err != nil || notices != 1 {
		t.Errorf("%d notices, %v", notices, err)
	}
}

func (a *api) hostileWebhooks(t *testing.T) {
	i := a.intent(100, sandbox.Timeout)
	a.move(202, i, "confirm")
	notice := func(id string) string {
		return fmt.Sprintf(`{"id":%q,"created":1,"kind":"authorise","payment":%q,"outcome":"authorised","reference":"x"}`, id, i.ID)
	}
	now := time.Now()
	body := notice("evt_hostile")
	good := sandbox.Sign(secret, []byte(body), now)
	post := func(status int, code, body string, signatures ...string) {
		t.Helper()
		header := http.Header{"Content-Type": {"application/json"}}
		if signatures != nil {
			header[sandbox.SignatureHeader] = signatures
		}
		got := a.want(status, call{method: "POST", path: "/v1/provider-webhooks/sandbox", body: body, header: header, token: "none", wrong: true})
		if got.Code != code {
			t.Errorf("%v: %d %s, want %s", signatures, got.status, got.Code, code)
		}
	}
	post(400, "bad-signature", body)
	post(400, "bad-signature", body, "")
	post(400, "bad-signature", body, good, good)
	post(400, "bad-signature", strings.Replace(body, "authorised", "declined", 1), good)
	post(400, "bad-signature", body+" ", good)
	post(400, "bad-signature", body, sandbox.Sign("another", []byte(body), now))
	post(400, "bad-signature", body, sandbox.Sign("", []byte(body), now))
	post(400, "bad-signature", body, strings.Replace(good, "t=", "t=1,t=", 1))
	post(400, "bad-signature", body, strings.Replace(good, "t=1", "t=2", 1))
	post(400, "bad-signature", body, "t=,v1="+strings.Repeat("a", 5000))
	post(400, "stale-signature", body, sandbox.Sign(secret, []byte(body), now.Add(-6*time.Minute)))
	post(400, "stale-signature", body, sandbox.Sign(secret, []byte(body), now.Add(6*time.Minute)))
	post(400, "bad-webhook", `{"id":`, sandbox.Sign(secret, []byte(`{"id":`), now))
	a.want(404, call{method: "POST", path: "/v1/provider-webhooks/nobody", body: body, wrong: true})
	if got := a.want(200, call{method: "GET", path: "/v1/payment-intents/" + i.ID.String()}); got.Status != app.Authorising {
		t.Fatalf("a webhook that nobody signed has made it %s", got.Status)
	}
	later, unknown := notice("evt_later"), strings.Replace(notice("evt_unknown"), i.ID.String(), uuid.NewString(), 1)
	for _, b := range []string{unknown, strings.ReplaceAll(notice("evt_captured"), "authorise", "capture"), body, body, later} {
		post(204, "", b, sandbox.Sign("whsec_old", []byte(b), now))
	}
	got := a.want(200, call{method: "GET", path: "/v1/payment-intents/" + i.ID.String()})
	if got.Status != app.IsAuthorised || got.Version != i.Version+2 {
		t.Errorf("the webhook, twice and with others, has made it %+v", got.View)
	}
}

func (a *api) badInput(t *testing.T) {
	var before, after int
	count := func(n *int) {
		if err := a.pool.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM intents) + (SELECT count(*) FROM refunds) + (SELECT count(*) FROM ledger)").Scan(n); err != nil {
			t.Fatal(err)
		}
	}
	i := a.intent(100, sandbox.Approve)
	a.move(200, i, "confirm")
	a.move(200, i, "capture")
	count(&before)
	for amount, status := range map[string]int{
		`{"amount":-1,"currency":"EUR"}`: 422, `{"amount":0,"currency":"EUR"}`: 422, `{"amount":1.5,"currency":"EUR"}`: 400, `{"amount":1e2,"currency":"EUR"}`: 400,
		`{"amount":9007199254740992,"currency":"EUR"}`: 422, `{"amount":9223372036854775808,"currency":"EUR"}`: 422, `{"amount":"1","currency":"EUR"}`: 400,
		`{"amount":1,"currency":"eur"}`: 422, `{"amount":1,"currency":"XXX"}`: 422, `{"amount":1}`: 400, `{"currency":"EUR"}`: 400, `1`: 400,
		`{"amount":{"$gt":0},"currency":"EUR"}`: 400, `{"amount":1,"amount":2,"currency":"EUR"}`: 400,
	} {
		for _, c := range []call{
			{path: "/v1/payment-intents", body: `{"amount":` + amount + `}`},
			{path: "/v1/refunds", body: `{"payment_intent_id":"` + i.ID.String() + `","reason":"x","amount":` + amount + `}`},
		} {
			c.method, c.token, c.key, c.wrong = "POST", a.staff, uuid.NewString(), true
			if got := a.do(c); got.status != status && (got.status != 400 && got.status != 422) || got.Code == "" {
				t.Errorf("%s %s: %d %s, want %d", c.path, amount, got.status, got.Code, status)
			}
		}
	}
	for _, c := range []struct {
		status     int
		path, body string
	}{
		{400, "/v1/payment-intents", `{"amount":{"amount":1,"currency":"EUR"},"status":"captured"}`},
		{400, "/v1/payment-intents", `{"amount":{"amount":1,"currency":"EUR"},"user_id":"x"}`},
		{400, "/v1/payment-intents", `{"amount":{"amount":1,"currency":"EUR"}}{}`},
		{422, "/v1/payment-intents", `{"amount":{"amount":1,"currency":"EUR"},"capture_method":"later"}`},
		{422, "/v1/payment-intents", `{"amount":{"amount":1,"currency":"EUR"},"payment_method":"x'; DROP TABLE ledger"}`},
		{422, "/v1/payment-intents", `{"amount":{"amount":1,"currency":"EUR"},"reference":"a\nb"}`},
		{422, "/v1/refunds", `{"payment_intent_id":"` + i.ID.String() + `"}`},
		{422, "/v1/refunds", `{"payment_intent_id":"` + i.ID.String() + `","reason":"She is ill"}`},
		{422, "/v1/refunds", `{"payment_intent_id":"` + uuid.NewString() + `","reason":"x"}`},
		{400, "/v1/refunds", `{"payment_intent_id":{"$ne":null},"reason":"x"}`},
		{404, "/v1/payment-intents/" + uuid.NewString() + "/confirm", ""},
		{404, "/v1/payment-intents/1/confirm", ""},
		{400, "/v1/payment-intents/" + i.ID.String() + "/capture", `{"amount":{"amount":1,"currency":"EUR"}}`},
	} {
		a.want(c.status, call{method: "POST", path: c.path, body: c.body, key: uuid.NewString(), wrong: true})
	}
	for _, path := range []string{"/v1/payment-intents", "/v1/payment-intents?order_id=1", "/v1/refunds", "/v1/refunds?payment_intent_id=" + i.ID.String() + "&limit=0", "/v1/refunds?payment_intent_id=" + i.ID.String() + "&cursor=x"} {
		a.want(400, call{method: "GET", path: path, wrong: true})
	}
	if count(&after); before != after {
		t.Errorf("there were %d rows, now there are %d", before, after)
	}
}

// order makes the payment of a user's order, as the checkout does.
func (a *api) order(user uuid.UUID) app.Intent {
	a.t.Helper()
	c := app.Command{Kind: app.OpAuthorise, OrderID: uuid.Must(uuid.NewV7()), UserID: user, Amount: money.Amount{Minor: 700, Currency: "EUR"},
		Method: sandbox.Approve, Deadline: time.Now().Add(time.Minute)}
	set, err := a.store.Change(context.Background(), app.Select([]app.Command{c}), func(s *app.Set) error { return s.Obey([]app.Command{c}, sandbox.Name) })
	if err != nil {
		a.t.Fatal(err)
	}
	return *set.Intents[0]
}

func (a *api) access(t *testing.T) {
	claims := a.issuer.Claims()
	user := uuid.MustParse(claims["sub"].(string))
	mine, theirs := a.order(user), a.order(uuid.New())
	own := a.issuer.Sign(claims)
	byHand := a.intent(100, sandbox.Approve)
	callers := []struct{ name, token string }{
		{"anonymous", ""}, {"customer", own}, {"staff", a.staff}, {"admin", a.issuer.User("admin")}, {"support", a.issuer.User("support")},
		{"expired", a.issuer.Expired("admin")}, {"no scope", a.issuer.Scoped("account")},
	}
	for _, r := range []struct {
		method, path string
		answers      [7]int
	}{
		{"GET", "/v1/payment-intents/" + mine.ID.String(), [7]int{401, 200, 200, 200, 404, 401, 403}},
		{"GET", "/v1/payment-intents/" + theirs.ID.String(), [7]int{401, 404, 200, 200, 404, 401, 403}},
		{"GET", "/v1/payment-intents/" + byHand.ID.String(), [7]int{401, 404, 200, 200, 404, 401, 403}},
		{"GET", "/v1/payment-intents?order_id=" + mine.OrderID.String(), [7]int{401, 200, 200, 200, 200, 401, 403}},
		{"GET", "/v1/refunds?payment_intent_id=" + mine.ID.String(), [7]int{401, 200, 200, 200, 200, 401, 403}},
		{"POST", "/v1/payment-intents", [7]int{401, 403, 400, 400, 403, 401, 403}},
		{"POST", "/v1/refunds", [7]int{401, 403, 400, 400, 403, 401, 403}},
		{"POST", "/v1/payment-intents/" + mine.ID.String() + "/confirm", [7]int{401, 403, 409, 409, 403, 401, 403}},
		{"POST", "/v1/payment-intents/" + mine.ID.String() + "/capture", [7]int{401, 403, 409, 409, 403, 401, 403}},
		{"POST", "/v1/payment-intents/" + mine.ID.String() + "/cancel", [7]int{401, 403, 409, 409, 403, 401, 403}},
		{"GET", "/internal/reconciliation", [7]int{401, 401, 401, 401, 401, 401, 401}}, // no certificate is shown
		{"GET", "/internal/reconciliation/totals", [7]int{401, 401, 401, 401, 401, 401, 401}},
		{"GET", "/openapi.yaml", [7]int{200, 200, 200, 200, 200, 200, 200}},
	} {
		for n, who := range callers {
			if got := a.do(call{method: r.method, path: r.path, token: who.token, wrong: true}); got.status != r.answers[n] {
				t.Errorf("%s %s by %s: %d %s, want %d", r.method, r.path, who.name, got.status, got.Code, r.answers[n])
			}
		}
	}
	for order, n := range map[uuid.UUID]int{mine.OrderID: 1, theirs.OrderID: 0, uuid.New(): 0} {
		if got := a.want(200, call{method: "GET", path: "/v1/payment-intents?order_id=" + order.String(), token: own}); len(got.Items) != n {
			t.Errorf("a customer finds %s", got.body)
		}
	}
	a.want(403, call{method: "GET", path: "/internal/reconciliation", peer: "gateway", wrong: true})
}

func (a *api) ofOrder(t *testing.T) {
	i := a.order(uuid.New())
	for _, move := range []string{"confirm", "capture", "cancel"} {
		if got := a.want(409, call{method: "POST", path: "/v1/payment-intents/" + i.ID.String() + "/" + move}); got.Code != "payment-of-order" {
			t.Errorf("%s: %s", move, got.Code)
		}
	}
}

func (a *api) pages(t *testing.T) {
	i := a.intent(1000, sandbox.Approve)
	a.move(200, i, "confirm")
	a.move(200, i, "capture")
	for range 5 {
		a.refund(201, i, uuid.NewString(), `{"amount":10,"currency":"EUR"}`)
	}
	for _, limit := range []string{"", "&limit=1", "&limit=5", "&limit=100"} {
		seen := map[string]bool{}
		for path := "/v1/refunds?payment_intent_id=" + i.ID.String() + limit; path != ""; {
			page := a.want(200, call{method: "GET", path: path})
			for _, item := range page.Items {
				seen[string(item)] = true
			}
			path = page.Next
		}
		if len(seen) != 5 {
			t.Errorf("limit %q: %d refunds", limit, len(seen))
		}
	}
}

func (a *api) books(t *testing.T) {
	for n := 0; n < 100; n++ { // the orders of other tests may be under way
		var left int
		if err := a.pool.QueryRow(t.Context(), "SELECT count(*) FROM operations").Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	last, items := "", 0
	for path := "/internal/reconciliation?limit=2"; path != ""; {
		page := a.want(200, call{method: "GET", path: path, peer: "reconcile"})
		items += len(page.Items)
		path = ""
		if page.Next != "" {
			if page.Next <= last {
				t.Fatalf("after %s comes %s", last, page.Next)
			}
			last, path = page.Next, "/internal/reconciliation?limit=2&after="+page.Next
		}
	}
	if items != 3 {
		t.Errorf("%d positions of 3 orders", items)
	}
	totals := a.want(200, call{method: "GET", path: "/internal/reconciliation/totals", peer: "reconcile"})
	if !strings.Contains(string(totals.body), `"ledger_sum":0`) {
		t.Errorf("totals: %s", totals.body)
	}
}
