package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"souk/services/catalog/app"
	"souk/services/catalog/store"
)

// sequences are the events of each subject in the order given.
func sequences(all []app.Event) map[string][]int64 {
	by := map[string][]int64{}
	for _, e := range all {
		by[e.Subject] = append(by[e.Subject], e.Sequence)
	}
	return by
}

func TestTheOutboxKeepsEventsUntilTheyArePublished(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, _, _ string) {
		c := app.New(s, settings)
		p := create(t, c, input("p", 100))
		for i := range 3 {
			title := fmt.Sprint("title ", i)
			if _, err := c.UpdateProduct(t.Context(), p.ID, app.AnyVersion, app.ProductPatch{Title: &title}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := c.CreateCategory(t.Context(), app.CategoryInput{Slug: "c", Name: "C"}, nil); err != nil {
			t.Fatal(err)
		}
		all, err := s.Pending(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		by := sequences(all)
		if !slices.Equal(by[p.ID], []int64{1, 2, 3, 4}) || !slices.Equal(by[app.TreeKey], []int64{1}) || len(all) != 5 {
			t.Fatalf("pending: %v", by)
		}
		// Another change comes while the first two are published.
		title := "last"
		if _, err := c.UpdateProduct(t.Context(), p.ID, app.AnyVersion, app.ProductPatch{Title: &title}); err != nil {
			t.Fatal(err)
		}
		mine := slices.DeleteFunc(slices.Clone(all), func(e app.Event) bool { return e.Subject != p.ID || e.Sequence > 2 })
		for range 2 { // the second time they are gone already
			if err := s.Published(t.Context(), mine); err != nil {
				t.Fatal(err)
			}
		}
		left, err := s.Pending(t.Context(), 100)
		if got := sequences(left)[p.ID]; err != nil || !slices.Equal(got, []int64{3, 4, 5}) {
			t.Errorf("left: %v (%v)", got, err)
		}
		if err := s.Published(t.Context(), left); err != nil {
			t.Fatal(err)
		}
		left, err = s.Pending(t.Context(), 100)
		waiting, countErr := s.Waiting(t.Context(), 100)
		if len(left)+waiting > 0 || err != nil || countErr != nil {
			t.Errorf("%d events, %d products still wait (%v, %v)", len(left), waiting, err, countErr)
		}
	})
}

func TestAMarkThatADeadRelayLeftIsCleared(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, uri, database string) {
		c := app.New(s, settings)
		p := create(t, c, input("p", 100))
		client, err := mongo.Connect(t.Context(), options.Client().ApplyURI(uri))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Disconnect(t.Context()) }()
		// It died after the pull.
		_, err = client.Database(database).Collection("products").UpdateOne(t.Context(), bson.D{{Key: "_id", Value: p.ID}},
			bson.D{{Key: "$set", Value: bson.D{{Key: "outbox", Value: bson.A{}}}}})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s.Waiting(t.Context(), 10); err != nil || n != 1 {
			t.Fatalf("%d wait (%v), want 1", n, err)
		}
		if events, err := s.Pending(t.Context(), 10); err != nil || len(events) > 0 {
			t.Fatalf("%v, %v", events, err)
		}
		if n, err := s.Waiting(t.Context(), 10); err != nil || n != 0 {
			t.Errorf("%d still wait (%v)", n, err)
		}
	})
}

func TestOneInstanceAtATimeHoldsTheLease(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, _, _ string) {
		var leases []*store.Lease
		for i := range 8 {
			leases = append(leases, s.Lease("relay", fmt.Sprint(i), time.Minute))
		}
		var group sync.WaitGroup
		for _, l := range leases {
			group.Go(func() {
				for range 5 {
					if _, err := l.Acquire(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		var holders []*store.Lease
		for _, l := range leases {
			if l.Held() {
				holders = append(holders, l)
			}
		}
		if len(holders) != 1 {
			t.Fatalf("%d hold it", len(holders))
		}
		if err := holders[0].Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		next := s.Lease("relay", "next", time.Minute)
		if held, err := next.Acquire(t.Context()); err != nil || !held {
			t.Errorf("a lease that was given back is not free: %v, %v", held, err)
		}
		if held, err := holders[0].Acquire(t.Context()); err != nil || held {
			t.Errorf("two hold it: %v, %v", held, err)
		}
	})
}

func TestALeaseIsLostByWhoDoesNotRenewIt(t *testing.T) {
	on(t, func(t *testing.T, s *store.Store, _, _ string) {
		const ttl = 300 * time.Millisecond
		asleep, awake := s.Lease("relay", "asleep", ttl), s.Lease("relay", "awake", ttl)
		if held, err := asleep.Acquire(t.Context()); err != nil || !held {
			t.Fatalf("%v, %v", held, err)
		}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(ttl / 10) {
			held, err := awake.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if held {
				break
			}
			if time.Now().After(end) {
				t.Fatal("nobody took it")
			}
		}
		if asleep.Held() {
			t.Error("the first still believes to hold it")
		}
	})
}
