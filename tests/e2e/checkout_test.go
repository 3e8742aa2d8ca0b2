package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestAnOrderGoesFromAGuestsCartToAnEMail(t *testing.T) {
	sku, _ := newSKU(t, 10)
	guest := buyer{}
	c := guest.fill(t, sku, 3)
	if c.Token == "" || c.Total != (amount{3 * 1290, "EUR"}) {
		t.Fatalf("the guest's cart is %+v", c)
	}
	if status := guest.ask(t, "GET", "/v1/carts/"+c.ID, nil, nil); status != http.StatusNotFound {
		t.Errorf("without its token a guest's cart is answered with %d", status)
	}
	b := newBuyer(t)
	var own cart
	b.wants(t, http.StatusOK, "POST", "/v1/carts/"+c.ID+"/merge", map[string]any{}, &own, "Cart-Token", c.Token)
	if own.Total != c.Total {
		t.Fatalf("merged at login it is %+v", own)
	}
	var o order
	b.wants(t, http.StatusAccepted, "POST", "/v1/orders", placement(own, "pm_sandbox_approve"), &o, "Idempotency-Key", uuid.NewString())
	kinds := b.follows(t, o.ID)
	if len(kinds) < 5 {
		t.Errorf("the order's story has only %v", kinds)
	}
	o = b.sees(t, o.ID, 5*time.Second, "is complete when its story ends", complete)
	var list struct {
		Items []struct {
			Type string `json:"type"`
		} `json:"items"`
	}
	b.wants(t, http.StatusOK, "GET", "/v1/orders/"+o.ID+"/events", nil, &list)
	if len(list.Items) != len(kinds) {
		t.Errorf("streamed %v, listed %v", kinds, list.Items)
	}
	has(t, sku, 7, 3)
	if all := intentsOf(t, o.ID); len(all) != 1 || all[0].Captured != o.Total || o.Total.Amount != 3*1290 {
		t.Errorf("of %v was paid %+v", o.Total, all)
	}
	eventually(t, 30*time.Second, "the confirmation", func(context.Context) error {
		for _, text := range mailsTo(t, b.email) {
			if strings.Contains(text, o.Number) {
				return nil
			}
		}
		return errors.New("no e-mail names the order")
	})
	other := newBuyer(t)
	for _, path := range []string{"", "/events", "/fulfillments"} {
		if status := other.ask(t, "GET", "/v1/orders/"+o.ID+path, nil, nil); status != http.StatusNotFound {
			t.Errorf("somebody else's order%s is answered with %d", path, status)
		}
	}
	if status := other.ask(t, "POST", "/v1/orders/"+o.ID+"/cancel", map[string]any{}, nil); status != http.StatusNotFound {
		t.Errorf("cancelling somebody else's order is answered with %d", status)
	}
	if status := other.ask(t, "POST", "/v1/carts/"+c.ID+"/merge", map[string]any{}, nil, "Cart-Token", c.Token); status == http.StatusOK {
		t.Error("a cart was merged twice")
	}
}

func TestEachFailureOfACheckoutIsCompensated(t *testing.T) {
	b := newBuyer(t)
	for method, c := range map[string]struct {
		status, reason string
		within         time.Duration
		captured       bool
	}{
		"pm_sandbox_decline":            {"failed", "payment_declined", 10 * time.Second, false},
		"pm_sandbox_insufficient_funds": {"failed", "payment_declined", 10 * time.Second, false},
		"pm_nobody_knows":               {"failed", "payment_declined", 10 * time.Second, false},
		"pm_sandbox_timeout":            {"failed", "payment_timeout", 60 * time.Second, false},
		"pm_sandbox_capture_fails":      {"failed", "capture_failed", 60 * time.Second, false},
		"pm_sandbox_late_webhook":       {"confirmed", "", 30 * time.Second, true},
		"pm_sandbox_error_once":         {"confirmed", "", 30 * time.Second, true},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			sku, _ := newSKU(t, 5)
			o := b.buys(t, sku, 2, method)
			o = b.sees(t, o.ID, c.within, "has ended", ended(c.status))
			if o.Reason != c.reason {
				t.Errorf("the reason is %q, want %q", o.Reason, c.reason)
			}
			captured := int64(0)
			for _, in := range intentsOf(t, o.ID) {
				captured += in.Captured.Amount - in.Refunded.Amount
			}
			if c.captured {
				b.sees(t, o.ID, 10*time.Second, "is complete", complete)
				has(t, sku, 3, 2)
			} else {
				has(t, sku, 5, 0)
				if captured != 0 {
					t.Errorf("%d were taken for an order that failed", captured)
				}
			}
		})
	}
}

func TestNobodyGetsWhatIsNotThere(t *testing.T) {
	const pieces, buyers = 10, 60
	sku, _ := newSKU(t, pieces)
	b := newBuyer(t)
	var mu sync.Mutex
	var ids []string
	var wg sync.WaitGroup
	for range buyers {
		wg.Go(func() {
			o := b.buys(t, sku, 1, "pm_sandbox_approve")
			mu.Lock()
			ids = append(ids, o.ID)
			mu.Unlock()
		})
	}
	wg.Wait()
	ends := map[string]int{}
	for _, id := range ids {
		o := b.sees(t, id, 30*time.Second, "has ended", func(o order) bool { return o.Settled && o.Status != "pending" })
		ends[o.Status+" "+o.Reason]++
	}
	if want := map[string]int{"confirmed ": pieces, "failed insufficient_stock": buyers - pieces}; fmt.Sprint(ends) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", ends, want)
	}
	has(t, sku, 0, pieces)
}

func TestACancelledOrderIsPaidBackAndItsStockIsForSaleAgain(t *testing.T) {
	sku, _ := newSKU(t, 4)
	b := newBuyer(t)
	o := b.buys(t, sku, 4, "pm_sandbox_approve")
	b.sees(t, o.ID, 30*time.Second, "is complete", complete)
	b.ask(t, "POST", "/v1/orders/"+o.ID+"/cancel", map[string]any{"reason": "changed_mind"}, nil)
	o = b.sees(t, o.ID, 30*time.Second, "is cancelled", ended("cancelled"))
	has(t, sku, 4, 0)
	if all := intentsOf(t, o.ID); len(all) != 1 || all[0].Refunded != o.Total || o.Refunded != o.Total {
		t.Errorf("of %v was paid back %+v, the order says %v", o.Total, all, o.Refunded)
	}
	// While it runs, too: whatever it has reached is undone.
	o = b.buys(t, sku, 1, "pm_sandbox_late_webhook")
	b.wants(t, http.StatusOK, "POST", "/v1/orders/"+o.ID+"/cancel", map[string]any{}, nil)
	b.sees(t, o.ID, 60*time.Second, "is cancelled", ended("cancelled"))
	has(t, sku, 4, 0)
}

func TestPartsOfAnOrderAreShippedAndPaidBack(t *testing.T) {
	sku, _ := newSKU(t, 4)
	b := newBuyer(t)
	o := b.buys(t, sku, 4, "pm_sandbox_approve")
	b.sees(t, o.ID, 30*time.Second, "is complete", complete)
	ship := func(want int, quantity int64) {
		t.Helper()
		operatorMust(t, want, "POST", "/v1/orders/"+o.ID+"/fulfillments", map[string]any{"lines": []any{map[string]any{"sku": sku, "quantity": quantity}}}, nil, "Idempotency-Key", uuid.NewString())
	}
	ship(http.StatusCreated, 3)
	b.sees(t, o.ID, 5*time.Second, "is shipped in part", func(o order) bool { return o.Fulfilment == "partial" })
	b.wants(t, http.StatusConflict, "POST", "/v1/orders/"+o.ID+"/cancel", map[string]any{}, nil)
	if status := (buyer{token: example(t, "admin")}).ask(t, "POST", "/v1/orders/"+o.ID+"/fulfillments",
		map[string]any{"lines": []any{map[string]any{"sku": sku, "quantity": 2}}}, nil, "Idempotency-Key", uuid.NewString()); status != http.StatusConflict && status != http.StatusUnprocessableEntity {
		t.Errorf("shipping more than was ordered is answered with %d", status)
	}
	ship(http.StatusCreated, 1)
	b.sees(t, o.ID, 5*time.Second, "is shipped", func(o order) bool { return o.Fulfilment == "complete" })

	in := intentsOf(t, o.ID)[0]
	refund := func(want int, minor int64) {
		t.Helper()
		operatorMust(t, want, "POST", "/v1/refunds", map[string]any{"payment_intent_id": in.ID, "amount": map[string]any{"amount": minor, "currency": "EUR"}, "reason": "damaged"},
			nil, "Idempotency-Key", uuid.NewString())
	}
	refund(http.StatusCreated, 1000)
	b.sees(t, o.ID, 15*time.Second, "knows of the refund", func(o order) bool { return o.Refunded.Amount == 1000 })
	for _, bad := range []int64{o.Total.Amount, -1, 0} {
		var answer json.RawMessage
		status := (buyer{token: example(t, "admin")}).ask(t, "POST", "/v1/refunds",
			map[string]any{"payment_intent_id": in.ID, "amount": map[string]any{"amount": bad, "currency": "EUR"}, "reason": "x"}, &answer, "Idempotency-Key", uuid.NewString())
		if status < 400 || status > 499 {
			t.Errorf("a refund of %d: %d %s", bad, status, answer)
		}
	}
	refund(http.StatusCreated, o.Total.Amount-1000)
	b.sees(t, o.ID, 15*time.Second, "is paid back", func(o order) bool { return o.Refunded == o.Total })
}

func TestAChangedPriceIsReportedAndNotCharged(t *testing.T) {
	sku, id := newSKU(t, 5)
	b := newBuyer(t)
	c := b.fill(t, sku, 2)
	changed := newProduct(strings.TrimSuffix(sku, "-1"), "")
	changed["variants"].([]any)[0].(map[string]any)["price"] = map[string]any{"amount": 1500, "currency": "EUR"} //nolint:errcheck,forcetypeassert // made a line ago
	operatorMust(t, http.StatusOK, "PATCH", "/v1/products/"+id, map[string]any{"variants": changed["variants"]}, nil, "If-Match", "*", "Content-Type", "application/merge-patch+json")
	var p problem
	if status := b.ask(t, "POST", "/v1/orders", placement(c, "pm_sandbox_approve"), &p, "Idempotency-Key", uuid.NewString()); status != http.StatusConflict || p.Code != "price-changed" && p.Code != "cart-changed" {
		t.Fatalf("at the old price: %d %+v", status, p)
	}
	if p.Code == "price-changed" && !strings.Contains(p.Detail, "30.00") {
		t.Errorf("the new total is not said: %s", p.Detail)
	}
	var seen cart
	eventually(t, 10*time.Second, "the cart has the new price", func(context.Context) error {
		if b.wants(t, http.StatusOK, "GET", "/v1/carts/"+c.ID, nil, &seen); seen.Total.Amount != 3000 {
			return fmt.Errorf("it is %+v", seen)
		}
		return nil
	})
	// The same request again must not buy at a price that nobody has seen.
	if status := b.ask(t, "POST", "/v1/orders", placement(c, "pm_sandbox_approve"), &p, "Idempotency-Key", uuid.NewString()); status != http.StatusConflict {
		t.Errorf("a blind repetition: %d %+v", status, p)
	}
	var o order
	b.wants(t, http.StatusAccepted, "POST", "/v1/orders", placement(seen, "pm_sandbox_approve"), &o, "Idempotency-Key", uuid.NewString())
	if o = b.sees(t, o.ID, 30*time.Second, "is complete", complete); o.Total.Amount != 3000 {
		t.Errorf("charged %v", o.Total)
	}
}

func TestOneIdempotencyKeyIsOneOrder(t *testing.T) {
	sku, _ := newSKU(t, 50)
	b := newBuyer(t)
	c := b.fill(t, sku, 1)
	key := uuid.NewString()
	var mu sync.Mutex
	var wg sync.WaitGroup
	ids := map[string]int{}
	for range 30 {
		wg.Go(func() {
			var answer struct {
				ID   string `json:"id"`
				Code string `json:"code"`
			}
			for {
				status := b.ask(t, "POST", "/v1/orders", placement(c, "pm_sandbox_approve"), &answer, "Idempotency-Key", key)
				if status == http.StatusConflict && answer.Code == "idempotency-in-flight" {
					time.Sleep(50 * time.Millisecond)
					continue
				}
				if status != http.StatusAccepted {
					t.Errorf("%d %+v", status, answer)
				}
				break
			}
			mu.Lock()
			ids[answer.ID]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("the answers name %v", ids)
	}
	var p problem
	if status := b.ask(t, "POST", "/v1/orders", placement(c, "pm_sandbox_decline"), &p, "Idempotency-Key", key); status != http.StatusUnprocessableEntity {
		t.Errorf("another body under the key: %d %+v", status, p)
	}
	if status := b.ask(t, "POST", "/v1/orders", placement(c, "pm_sandbox_approve"), &p, "Idempotency-Key", uuid.NewString()); status != http.StatusConflict {
		t.Errorf("the cart once more: %d %+v", status, p)
	}
	for id := range ids {
		b.sees(t, id, 30*time.Second, "is complete", complete)
	}
	has(t, sku, 49, 1)
}

func TestBadInputToTheCheckoutIsRefusedAndChangesNothing(t *testing.T) {
	sku, _ := newSKU(t, 5)
	b, other := newBuyer(t), newBuyer(t)
	c, foreign := b.fill(t, sku, 1), other.fill(t, sku, 1)
	item := func(quantity string) []byte {
		return fmt.Appendf(nil, `{"items":[{"sku":%q,"quantity":%s}]}`, sku, quantity)
	}
	orderOf := func(rest string) []byte {
		return fmt.Appendf(nil, `{"cart_id":%q,"cart_version":%d%s}`, c.ID, c.Version, rest)
	}
	const paid = `,"payment_method":"pm_sandbox_approve"`
	for name, bad := range map[string]struct {
		method, path string
		body         []byte
		statuses     []int
	}{
		"no pieces":                {"POST", "/v1/carts", item("0"), []int{400, 422}},
		"negative pieces":          {"POST", "/v1/carts", item("-1"), []int{400, 422}},
		"half a piece":             {"POST", "/v1/carts", item("0.5"), []int{400, 422}},
		"1e2 pieces":               {"POST", "/v1/carts", item("1e2"), []int{400, 422}},
		"2^63 pieces":              {"POST", "/v1/carts", item("9223372036854775808"), []int{400, 422}},
		"2^53+1 pieces":            {"POST", "/v1/carts", item("9007199254740993"), []int{400, 422}},
		"pieces as a text":         {"POST", "/v1/carts", item(`"1"`), []int{400}},
		"an operator for pieces":   {"POST", "/v1/carts", item(`{"$gt":0}`), []int{400}},
		"an operator for a SKU":    {"POST", "/v1/carts", []byte(`{"items":[{"sku":{"$ne":null},"quantity":1}]}`), []int{400}},
		"$where for a SKU":         {"POST", "/v1/carts", []byte(`{"items":[{"sku":"$where: 1","quantity":1}]}`), []int{400, 422}},
		"an unknown SKU":           {"POST", "/v1/carts", []byte(`{"items":[{"sku":"NOT-THERE","quantity":1}]}`), []int{422}},
		"a client's price":         {"POST", "/v1/carts", fmt.Appendf(nil, `{"items":[{"sku":%q,"quantity":1,"unit_price":{"amount":1,"currency":"EUR"}}]}`, sku), []int{400}},
		"another currency":         {"POST", "/v1/carts", fmt.Appendf(nil, `{"currency":"USD","items":[{"sku":%q,"quantity":1}]}`, sku), []int{409, 422}},
		"somebody's user id":       {"POST", "/v1/carts", fmt.Appendf(nil, `{"user_id":%q}`, other.id), []int{400}},
		"somebody's cart":          {"PUT", "/v1/carts/" + foreign.ID + "/items/" + sku, []byte(`{"quantity":2}`), []int{404}},
		"ordering somebody's cart": {"POST", "/v1/orders", fmt.Appendf(nil, `{"cart_id":%q,"cart_version":%d%s}`, foreign.ID, foreign.Version, paid), []int{404}},
		"no cart":                  {"POST", "/v1/orders", fmt.Appendf(nil, `{"cart_id":%q,"cart_version":1%s}`, uuid.NewString(), paid), []int{404}},
		"an unseen version":        {"POST", "/v1/orders", fmt.Appendf(nil, `{"cart_id":%q,"cart_version":%d%s}`, c.ID, c.Version+7, paid), []int{409}},
		"a client's total":         {"POST", "/v1/orders", orderOf(paid + `,"total":{"amount":1,"currency":"EUR"}`), []int{400}},
		"a client's status":        {"POST", "/v1/orders", orderOf(paid + `,"status":"confirmed"`), []int{400}},
		"no payment method":        {"POST", "/v1/orders", orderOf(""), []int{400, 422}},
		"an odd payment method":    {"POST", "/v1/orders", orderOf(`,"payment_method":"'; DROP TABLE orders; --"`), []int{400, 422}},
		"an operator to pay with":  {"POST", "/v1/orders", orderOf(`,"payment_method":{"$ne":""}`), []int{400}},
		"an intent by a customer":  {"POST", "/v1/payment-intents", []byte(`{"amount":{"amount":1,"currency":"EUR"}}`), []int{403}},
		"stock by a customer":      {"POST", "/v1/inventory/" + sku + "/adjustments", []byte(`{"delta":100,"reason":"found"}`), []int{403}},
		"a refund by a customer":   {"POST", "/v1/refunds", []byte(`{}`), []int{403}},
		"an unsigned webhook":      {"POST", "/v1/provider-webhooks/sandbox", []byte(`{}`), []int{400, 401}},
		"a webhook of nobody":      {"POST", "/v1/provider-webhooks/nobody", []byte(`{}`), []int{404}},
	} {
		t.Run(name, func(t *testing.T) {
			var p problem
			status := b.ask(t, bad.method, bad.path, bad.body, &p, "Idempotency-Key", uuid.NewString())
			if !slices.Contains(bad.statuses, status) || p.Code == "" || p.Detail == "" {
				t.Errorf("%d %+v, want one of %v and what to change", status, p, bad.statuses)
			}
		})
	}
	var p problem
	if status := b.ask(t, "POST", "/v1/orders", placement(c, "pm_sandbox_approve"), &p); status != http.StatusBadRequest || p.Code != "idempotency-key-required" {
		t.Errorf("without an Idempotency-Key: %d %+v", status, p)
	}
	var same cart
	if b.wants(t, http.StatusOK, "GET", "/v1/carts/"+c.ID, nil, &same); fmt.Sprint(same) != fmt.Sprint(c) {
		t.Errorf("the cart is now %+v, was %+v", same, c)
	}
	has(t, sku, 5, 0)
}
