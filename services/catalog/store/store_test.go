package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/internal/errs"
	"souk/internal/money"
	"souk/services/catalog/app"
	"souk/services/catalog/store"
)

func settings() app.Settings {
	return app.Settings{PendingPerProduct: 20, PendingProducts: 1000, TreeAge: time.Second}
}

func input(name string, price int64) app.ProductInput {
	active := app.Active
	return app.ProductInput{
		Status: &active, Slug: name, Title: strings.ToUpper(name[:1]) + name[1:], Brand: "Acme",
		Variants: []app.Variant{{SKU: name, Price: money.Amount{Minor: price, Currency: "EUR"}}},
	}
}

func create(t *testing.T, c *app.Catalog, in app.ProductInput) app.Product {
	t.Helper()
	p, _, err := c.CreateProduct(t.Context(), in, nil)
	if err != nil {
		t.Fatalf("create %s: %v", in.Slug, err)
	}
	return p
}

func code(err error) string {
	if err == nil {
		return ""
	}
	if c := errs.CodeOf(err); c != "" {
		return c
	}
	return err.Error()
}

func TestAProductIsReadBackAsItWasWritten(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, _, _ string) {
		c := app.New(s, settings)
		in := input("shirt", 1990)
		in.Description = "Line one\nline two \U0001F455 \"quoted\" $where"
		in.Options = []app.Option{{Name: "$size", Values: []string{"S", "M"}}, {Name: "a.b", Values: []string{"{$gt: ''}", "red"}}}
		in.Variants = []app.Variant{
			{SKU: "shirt-1", Title: "one", Options: map[string]string{"$size": "S", "a.b": "red"}, Price: money.Amount{Minor: 0, Currency: "EUR"}},
			{SKU: "shirt-2", Options: map[string]string{"$size": "M", "a.b": "{$gt: ''}"}, Price: money.Amount{Minor: 1e12, Currency: "EUR"},
				Images: []app.Image{{URL: "https://img.example/2.jpg", Alt: "two"}}, Attributes: map[string]string{"weight_g": "180"}},
		}
		in.Images = []app.Image{{URL: "https://img.example/1.jpg"}}
		in.Attributes = map[string]string{"material": "cotton"}
		want := create(t, c, in)
		got, err := s.Product(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := asJSON(t, got), asJSON(t, want); a != b {
			t.Errorf("read\n%s\nwrote\n%s", a, b)
		}
	})
}

func TestStoredJSONThatIsNotTodaysIsNotShown(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, _, _ string) {
		c := app.New(s, settings)
		for i := range 6 {
			in := input(fmt.Sprint("p", i), int64(i))
			if i%2 > 0 {
				in.Status = nil // a draft
			}
			create(t, c, in)
		}
		for _, order := range app.Sorts() {
			for _, status := range []app.Status{app.Active, app.Draft} {
				q := app.Query{Status: status, Sort: order, Limit: 2}
				before, err := c.Products(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				s.SpoilShown(t)
				after, err := c.Products(t.Context(), q)
				if err != nil || asJSON(t, before) != asJSON(t, after) {
					t.Errorf("%s: %v, shows\n%s\nwant\n%s", order, err, asJSON(t, after), asJSON(t, before))
				}
				one, err := c.Product(t.Context(), before.Items[0].ID)
				if err != nil || string(one.JSON) != string(before.Items[0].JSON) {
					t.Errorf("%v, shows %s", err, one.JSON)
				}
				title := fmt.Sprint("renewed ", order)
				for _, p := range before.Items {
					if _, err := c.UpdateProduct(t.Context(), p.ID, app.AnyVersion, app.ProductPatch{Title: &title}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

func TestOneOfManyConcurrentChangesOfAVersionWins(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, uri, database string) {
		instances := []*app.Catalog{app.New(s, settings), app.New(open(t, uri, database), settings)}
		p := create(t, instances[0], input("contended", 100))
		won, lost := 0, 0
		for _, err := range parallel(20, func(i int) error {
			title := fmt.Sprint("Title ", i)
			_, err := instances[i%2].UpdateProduct(t.Context(), p.ID, 1, app.ProductPatch{Title: &title})
			return err
		}) {
			switch code(err) {
			case "":
				won++
			case "stale-version":
				lost++
			default:
				t.Errorf("unexpected: %v", err)
			}
		}
		after, err := instances[0].Product(t.Context(), p.ID)
		if err != nil || won != 1 || lost != 19 || after.Version != 2 {
			t.Errorf("%d won, %d lost, version %d (%v); want 1, 19, 2", won, lost, after.Version, err)
		}
	})
}

func TestChangesOfAnyVersionAllCount(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, _, _ string) {
		c := app.New(s, settings)
		p := create(t, c, input("popular", 100))
		for _, err := range parallel(8, func(i int) error {
			value := fmt.Sprint(i)
			_, err := c.UpdateProduct(t.Context(), p.ID, app.AnyVersion, app.ProductPatch{Attributes: map[string]*string{fmt.Sprint("k", i): &value}})
			return err
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		after, err := s.Product(t.Context(), p.ID)
		if err != nil || after.Version != 9 || len(after.Attributes) != 8 {
			t.Errorf("version %d with %d attributes (%v), want 9 with 8", after.Version, len(after.Attributes), err)
		}
	})
}

func TestOneOfManyConcurrentCreatesTakesASKUOrSlug(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, uri, database string) {
		instances := []*app.Catalog{app.New(s, settings), app.New(open(t, uri, database), settings)}
		for what, make := range map[string]func(i int) app.ProductInput{
			"sku-taken": func(i int) app.ProductInput {
				in := input(fmt.Sprint("sku-race-", i), 100)
				in.Variants[0].SKU = "RACE"
				return in
			},
			"slug-taken": func(i int) app.ProductInput {
				in := input("slug-race", 100)
				in.Variants[0].SKU = fmt.Sprint("S", i)
				return in
			},
		} {
			made, taken := 0, 0
			for _, err := range parallel(50, func(i int) error {
				_, _, err := instances[i%2].CreateProduct(t.Context(), make(i), nil)
				return err
			}) {
				switch code(err) {
				case "":
					made++
				case what:
					taken++
				default:
					t.Errorf("unexpected: %v", err)
				}
			}
			if made != 1 || taken != 49 {
				t.Errorf("%d made, %d %s; want 1 and 49", made, taken, what)
			}
		}
	})
}

func TestATakenSKUIsNamed(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, _, _ string) {
		c := app.New(s, settings)
		create(t, c, input("first", 100))
		second := create(t, c, input("second", 100))
		variants := []app.Variant{
			{SKU: "second", Options: map[string]string{"n": "1"}, Price: money.Amount{Minor: 1, Currency: "EUR"}},
			{SKU: "first", Options: map[string]string{"n": "2"}, Price: money.Amount{Minor: 1, Currency: "EUR"}},
		}
		_, err := c.UpdateProduct(t.Context(), second.ID, 1, app.ProductPatch{Options: &[]app.Option{{Name: "n", Values: []string{"1", "2"}}}, Variants: &variants})
		e := (*errs.Error)(nil)
		if !errors.As(err, &e) || e.Code != "sku-taken" || len(e.Fields) != 1 || e.Fields[0].Pointer != "/variants/1/sku" {
			t.Errorf("got %v, want sku-taken at /variants/1/sku", err)
		}
	})
}

func TestAnArchivedProductKeepsItsSlugAndSKUs(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, _, _ string) {
		c := app.New(s, settings)
		p := create(t, c, input("gone", 100))
		if _, err := c.ArchiveProduct(t.Context(), p.ID, 1); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.CreateProduct(t.Context(), input("gone", 100), nil); errs.KindOf(err) != errs.Conflict {
			t.Errorf("got %v, want a conflict", err)
		}
		active := app.Active
		if p, err := c.UpdateProduct(t.Context(), p.ID, 2, app.ProductPatch{Status: &active}); err != nil || p.Version != 3 {
			t.Errorf("restored: %v, version %d", err, p.Version)
		}
	})
}

// parallel runs f n times at once and gives the errors.
func parallel(n int, f func(i int) error) []error {
	all := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { all[i] = f(i) })
	}
	group.Wait()
	return all
}

func once(key, fingerprint string) *app.Once {
	return &app.Once{Key: key, Fingerprint: []byte(fingerprint), Expires: time.Now().Add(app.KeyAge)}
}

func TestARequestRepeatedWithItsKeyHasOneEffect(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, uri, database string) {
		instances := []*app.Catalog{app.New(s, settings), app.New(open(t, uri, database), settings)}
		var mu sync.Mutex
		ids, replays := map[string]int{}, 0
		for _, err := range parallel(50, func(i int) error {
			p, replayed, err := instances[i%2].CreateProduct(t.Context(), input("keyed", 100), once("key-1", "body-1"))
			mu.Lock()
			defer mu.Unlock()
			ids[p.ID]++
			if replayed {
				replays++
			}
			return err
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		if len(ids) != 1 || replays != 49 {
			t.Errorf("%d products, %d replays; want 1 and 49", len(ids), replays)
		}
		c := instances[0]
		if _, _, err := c.CreateProduct(t.Context(), input("other", 100), once("key-1", "body-2")); code(err) != "idempotency-key-reused" {
			t.Errorf("another body: %v", err)
		}
		// What is replayed is the answer of then, not the product of now.
		title := "Changed"
		for id := range ids {
			if _, err := c.UpdateProduct(t.Context(), id, 1, app.ProductPatch{Title: &title}); err != nil {
				t.Fatal(err)
			}
		}
		p, replayed, err := c.CreateProduct(t.Context(), input("keyed", 100), once("key-1", "body-1"))
		if err != nil || !replayed || p.Version != 1 || p.Title != "Keyed" {
			t.Errorf("replayed version %d, title %q (%v)", p.Version, p.Title, err)
		}
	})
}

func TestAKeyIsForgottenWhenItExpires(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, _, _ string) {
		c := app.New(s, settings)
		past := &app.Once{Key: "old", Fingerprint: []byte("1"), Expires: time.Now().Add(-time.Second)}
		if _, _, err := c.CreateProduct(t.Context(), input("one", 100), past); err != nil {
			t.Fatal(err)
		}
		if _, replayed, err := c.CreateProduct(t.Context(), input("two", 100), once("old", "2")); err != nil || replayed {
			t.Errorf("the key is not free again: replayed %v, %v", replayed, err)
		}
		past.Key = "older"
		if _, _, err := c.CreateProduct(t.Context(), input("three", 100), past); err != nil {
			t.Fatal(err)
		}
		if err := s.Sweep(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, replayed, err := c.CreateProduct(t.Context(), input("two", 100), once("old", "2")); err != nil || !replayed {
			t.Errorf("a key that has not expired was swept: replayed %v, %v", replayed, err)
		}
	})
}

func TestPagesAreStableWhileProductsAreAdded(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, _, _ string) {
		c := app.New(s, settings)
		// Equal prices and titles: only the tie-break keeps the order.
		var want []string
		for i := range 25 {
			in := input(fmt.Sprintf("p-%02d", i), 100)
			in.Title = "Same"
			want = append(want, create(t, c, in).ID)
		}
		for _, order := range app.Sorts() {
			var got []string
			q := app.Query{Status: app.Active, Sort: order, Limit: 4}
			for page := 0; ; page++ {
				answer, err := c.Products(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range answer.Items {
					if slices.Contains(want, p.ID) {
						got = append(got, p.ID)
					}
				}
				if answer.Next == "" {
					break
				}
				q.After = answer.Next
				in := input(fmt.Sprintf("new-%d-%s", page, strings.Trim(string(order), "-")), 100)
				if order[0] == '-' {
					in.Slug += "-down"
					in.Variants[0].SKU = in.Slug
				}
				in.Title = "Same"
				create(t, c, in)
			}
			expect := slices.Clone(want)
			if order.Descending() {
				slices.Reverse(expect)
			}
			if !slices.Equal(got, expect) {
				t.Errorf("%s: got %d of 25 products in another order or number", order, len(got))
			}
		}
	})
}

func TestAQueryThatSaysTooMuchFindsNothing(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, _, _ string) {
		c := app.New(s, settings)
		create(t, c, input("plain", 100))
		for _, hostile := range []string{"$ne", `{"$gt":""}`, "$where", ".*", "plain\x00", "a.b", "variants.0"} {
			for name, q := range map[string]app.Query{
				"slug": {Slug: hostile}, "sku": {SKUs: []string{hostile}}, "brand": {Brand: hostile}, "after": {After: "￿" + hostile},
			} {
				q.Status, q.Sort, q.Limit = app.Active, app.Oldest, 10
				page, err := c.Products(t.Context(), q)
				if err != nil || len(page.Items) > 0 {
					t.Errorf("%s=%q: %d products, %v", name, hostile, len(page.Items), err)
				}
			}
			if _, err := c.Product(t.Context(), hostile); errs.KindOf(err) != errs.NotFound {
				t.Errorf("product %q: %v", hostile, err)
			}
		}
	})
}

func TestADatabaseThatIsAwayIsUnavailableAndHeals(t *testing.T) {
	on(t, func(t *testing.T, _ *store.Store, uri, database string) {
		gate := newGate(t, uri)
		s := open(t, gate.uri, database)
		c := app.New(s, settings)
		p := create(t, c, input("fragile", 100))
		title := "New"
		calls := map[string]func(context.Context) error{
			"read": func(ctx context.Context) error { _, err := c.Product(ctx, p.ID); return err },
			"list": func(ctx context.Context) error {
				_, err := c.Products(ctx, app.Query{Status: app.Active, Sort: app.Newest, Limit: 1})
				return err
			},
			"create": func(ctx context.Context) error { _, _, err := c.CreateProduct(ctx, input("no", 1), nil); return err },
			"update": func(ctx context.Context) error {
				_, err := c.UpdateProduct(ctx, p.ID, 1, app.ProductPatch{Title: &title})
				return err
			},
			"tree": func(ctx context.Context) error { _, err := c.Categories(ctx); return err },
		}
		for _, trouble := range []func(){gate.refuse, gate.swallow} {
			trouble()
			for name, call := range calls {
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 1800*time.Millisecond)
				err := call(ctx)
				cancel()
				// A busy machine may take longer to notice the deadline.
				if took := time.Since(began); errs.KindOf(err) != errs.Unavailable || took > 4*time.Second {
					t.Errorf("%s: %v after %s", name, err, took)
				}
			}
			gate.pass()
			healed := time.Now()
			for calls["read"](t.Context()) != nil {
				if time.Since(healed) > 10*time.Second {
					t.Fatal("it has not healed after 10 s")
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
		if after, err := c.Product(t.Context(), p.ID); err != nil || after.Version != 1 {
			t.Errorf("version %d (%v) although no change was acknowledged", after.Version, err)
		}
	})
}
