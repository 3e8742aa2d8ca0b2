package catalog

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/services/orders/app"
)

var product = uuid.MustParse("0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55")

// fake is a catalogue whose answers a test decides. That a real one answers so, its own tests and those of the whole show.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	asked  [][]string
	answer func(skus []string) (status int, body string)
}

func newFake(t *testing.T, answer func(skus []string) (int, string)) *fake {
	t.Helper()
	f := &fake{answer: answer}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		var in struct {
			SKUs []string `json:"skus"`
		}
		if err := json.Unmarshal(raw, &in, json.RejectUnknownMembers(true)); err != nil || r.URL.Path != "/internal/prices" || r.Method != http.MethodPost {
			t.Errorf("%s %s %s: %v", r.Method, r.URL, raw, err)
		}
		f.mu.Lock()
		f.asked = append(f.asked, in.SKUs)
		f.mu.Unlock()
		status, body := f.answer(in.SKUs)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) address() string { return f.Listener.Addr().String() }

func (f *fake) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

func client(t *testing.T, addresses ...string) *Client {
	t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} //nolint:gosec // identity has tests of its own
	c := New(t.Context(), func() []string { return addresses }, config, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// priced answers every SKU but "unknown" with this price.
func priced(minor int64) func([]string) (int, string) {
	return func(skus []string) (int, string) {
		var prices []string
		for _, sku := range skus {
			if sku != "unknown" {
				prices = append(prices, fmt.Sprintf(`{"sku":%q,"product_id":%q,"version":3,"name":"A","price":{"amount":%d,"currency":"EUR"},"active":true,"later":1}`, sku, product, minor))
			}
		}
		return 200, `{"prices":[` + strings.Join(prices, ",") + `]}`
	}
}

func TestPricesOfWhatIsKnown(t *testing.T) {
	c := client(t, newFake(t, priced(1290)).address())
	prices, err := c.Prices(t.Context(), []string{"a", "unknown", "b"})
	want := app.Price{SKU: "a", ProductID: product, Version: 3, Name: "A", Active: true}
	want.Price.Minor, want.Price.Currency = 1290, "EUR"
	if err != nil || len(prices) != 2 || prices["a"] != want || prices["b"].SKU != "b" {
		t.Errorf("%+v, %v", prices, err)
	}
}

// Of a hundred who come while a question is under way, each gets prices that were read after they came, in few questions.
func TestWhoComesWhileAQuestionIsUnderWaySharesTheNextOne(t *testing.T) {
	var price atomic.Int64
	price.Store(1)
	entered, leave := make(chan bool, 10), make(chan bool)
	var first atomic.Bool
	f := newFake(t, func(skus []string) (int, string) {
		now := price.Load() // the first is read before the price changes, though it is answered after that
		if first.CompareAndSwap(false, true) {
			entered <- true
			<-leave
		}
		return priced(now)(skus)
	})
	c := client(t, f.address())
	var wg sync.WaitGroup
	ask := func(n int, want int64) {
		sku := fmt.Sprint("sku-", n)
		prices, err := c.Prices(t.Context(), []string{sku, "common"})
		if err != nil || prices[sku].Price.Minor != want || prices["common"].Price.Minor != want || len(prices) != 2 {
			t.Errorf("%s: %+v, %v", sku, prices, err)
		}
	}
	wg.Go(func() { ask(0, 1) })
	<-entered
	price.Store(2)
	for n := range 600 { // with "common", 601 SKUs: two questions
		wg.Go(func() { ask(n+1, 2) })
	}
	for waiting := 0; waiting < 600; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		waiting = 0
		for _, q := range c.waiting {
			waiting += len(q.skus) - 1
		}
		c.mu.Unlock()
	}
	close(leave)
	wg.Wait()
	if n := f.questions(); n != 3 {
		t.Errorf("%d questions", n)
	}
	for _, skus := range f.asked {
		if len(skus) > MaxSKUs {
			t.Errorf("a question with %d SKUs", len(skus))
		}
	}
}

func TestAnotherInstanceIsAskedWhenOneIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	good, failing := newFake(t, priced(5)), newFake(t, func([]string) (int, string) { return 503, "" })
	c := client(t, l.Addr().String(), failing.address(), good.address())
	for range 6 {
		if prices, err := c.Prices(t.Context(), []string{"a"}); err != nil || prices["a"].Price.Minor != 5 {
			t.Errorf("%+v, %v", prices, err)
		}
	}
}

func TestWithoutAnAnswerThereIsNoPrice(t *testing.T) {
	one := `{"sku":"a","product_id":"` + product.String() + `","version":1,"name":"A","price":{"amount":1,"currency":"EUR"},"active":true}`
	for what, answer := range map[string]struct {
		status int
		body   string
	}{
		"refused":          {403, `{"prices":[` + one + `]}`},
		"empty":            {200, ``},
		"no list":          {200, `{}`},
		"null":             {200, `{"prices":null}`},
		"cut":              {200, `{"prices":[` + one},
		"more than asked":  {200, `{"prices":[` + one + `,` + strings.Replace(one, `"a"`, `"b"`, 1) + `]}`},
		"no price":         {200, `{"prices":[` + strings.Replace(one, `"price":{"amount":1,"currency":"EUR"},`, "", 1) + `]}`},
		"no version":       {200, `{"prices":[` + strings.Replace(one, `"version":1`, `"version":0`, 1) + `]}`},
		"negative":         {200, `{"prices":[` + strings.Replace(one, `"amount":1`, `"amount":-1`, 1) + `]}`},
		"a fraction":       {200, `{"prices":[` + strings.Replace(one, `"amount":1`, `"amount":1.5`, 1) + `]}`},
		"another currency": {200, `{"prices":[` + strings.Replace(one, "EUR", "XXX", 1) + `]}`},
	} {
		t.Run(what, func(t *testing.T) {
			c := client(t, newFake(t, func([]string) (int, string) { return answer.status, answer.body }).address())
			prices, err := c.Prices(t.Context(), []string{"a"})
			if errs.KindOf(err) != errs.Unavailable || errs.CodeOf(err) != "catalog-unavailable" || prices != nil {
				t.Errorf("%+v, %v", prices, err)
			}
		})
	}
	if _, err := client(t).Prices(t.Context(), []string{"a"}); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("no instance: %v", err)
	}
}

// One that takes connections and never answers holds nobody up for longer than a question may take.
func TestAnInstanceThatHangsIsGivenUp(t *testing.T) {
	release := make(chan bool)
	hanging := newFake(t, func([]string) (int, string) { <-release; return 200, "" })
	t.Cleanup(func() { close(release) })
	good := newFake(t, priced(5))
	c := client(t, good.address(), hanging.address()) // the second is asked first
	if prices, err := c.Prices(t.Context(), []string{"a"}); err != nil || prices["a"].Price.Minor != 5 {
		t.Errorf("%+v, %v", prices, err)
	}
	if hanging.questions() != 1 || good.questions() != 1 {
		t.Errorf("%d and %d questions", hanging.questions(), good.questions())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := client(t, hanging.address()).Prices(ctx, []string{"a"}); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("who can't wait: %v", err)
	}
}
