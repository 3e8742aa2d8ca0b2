package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo/options"

	"souk/internal/money"
	"souk/services/catalog/app"
)

// asked is a query with the categories that its filter stands for.
type asked struct {
	q          app.Query
	categories []string
}

// queries are all combinations of filters and sorts that the API allows, by what they
// combine.
func queries() map[string]asked {
	all := map[string]asked{}
	low, high := int64(100), int64(900)
	many := make([]string, maxMerged+1)
	for i := range many {
		many[i] = fmt.Sprint("c", i)
	}
	last := app.Product{
		ID: "id50", Title: "t", UpdatedAt: time.UnixMilli(50),
		PriceRange: app.PriceRange{Min: money.Amount{Minor: 500, Currency: "EUR"}},
	}
	for _, order := range app.Sorts() {
		for _, status := range []app.Status{app.Draft, app.Active, app.Archived} {
			for bits := range 1 << 6 {
				for name, categories := range map[string][]string{"none": nil, "one": {"c1"}, "some": {"c1", "c2", "c3"}, "many": many} {
					q := app.Query{Status: status, Sort: order, Limit: 20}
					label := fmt.Sprintf("%s %s categories=%s", order, status, name)
					for bit, apply := range []func(){
						func() { q.Brand = "b1"; label += " brand" },
						func() { q.Currency = "EUR"; label += " currency" },
						func() { q.Currency, q.MinPrice, q.MaxPrice = "EUR", &low, &high; label += " prices" },
						func() { q.After = order.Key(&last); label += " after" },
						func() { q.SKUs = []string{"s1", "s2"}; label += " skus" },
						func() { q.Slug = "slug"; label += " slug" },
					} {
						if bits&(1<<bit) != 0 {
							apply()
						}
					}
					all[label] = asked{q, categories}
				}
			}
		}
	}
	return all
}

func TestEveryQueryIsServedByADeclaredIndex(t *testing.T) {
	for label, x := range queries() {
		p := planOf(x.q, x.categories)
		at := slices.IndexFunc(indexes, func(i index) bool { return i.name == p.index })
		if at < 0 {
			t.Errorf("%s: index %s is not declared", label, p.index)
			continue
		}
		index := indexes[at]
		var filtered []string
		for _, f := range p.filter {
			filtered = append(filtered, f.Key)
		}
		if index.unique {
			// A handful of products, found one by one and sorted in memory.
			if !slices.Contains(filtered, index.fields[0]) {
				t.Errorf("%s: index %s leads with a field that is not asked for", label, index.name)
			}
			continue
		}
		if slices.Contains(filtered, "slug") || slices.Contains(filtered, "variants.sku") {
			t.Errorf("%s: a unique filter does not choose the index, which is %s", label, index.name)
		}
		sorted := slices.Index(index.fields, p.sort[0].Key)
		for i, field := range index.fields {
			asked := slices.Contains(filtered, field)
			if i < sorted && !asked {
				t.Errorf("%s: %s comes before the sort key of index %s but is not fixed", label, field, index.name)
			}
			filtered = slices.DeleteFunc(filtered, func(f string) bool { return f == field })
		}
		if sorted < 0 || len(p.sort) != 1 {
			t.Errorf("%s: index %s does not give the order %v", label, index.name, p.sort)
		}
		if len(filtered) > 0 {
			t.Errorf("%s: index %s can't check %v without reading the product", label, index.name, filtered)
		}
	}
}

// stage is what explain says of a step of a plan, as far as it matters here.
type stage struct {
	Stage       string  `bson:"stage"`
	QueryPlan   *stage  `bson:"queryPlan"` // where MongoDB's newer engine hides the steps
	InputStage  *stage  `bson:"inputStage"`
	InputStages []stage `bson:"inputStages"`
}

func (s *stage) all() []string {
	if s == nil {
		return nil
	}
	names := append([]string{s.Stage}, s.InputStage.all()...)
	names = append(names, s.QueryPlan.all()...)
	for i := range s.InputStages {
		names = append(names, s.InputStages[i].all()...)
	}
	return names
}

// ExplainTest is run by TestMongoDBWalksOnlyTheIndex with a store on a real MongoDB.
func ExplainTest(t *testing.T, s *Store) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var docs []any
	for i := range 2000 {
		category := fmt.Sprint("c", i%150)
		p := app.Product{
			ID: fmt.Sprintf("id%04d", i), Version: 1, Status: []app.Status{app.Active, app.Draft}[i%2], Slug: fmt.Sprint("slug-", i), Title: rand.Text(),
			Brand: fmt.Sprint("b", i%7), CategoryID: &category, UpdatedAt: time.UnixMilli(int64(i * 7919 % 2000)),
			Variants: []app.Variant{{SKU: fmt.Sprint("s", i), Price: money.Amount{Minor: int64(i * 104729 % 1000), Currency: []string{"EUR", "USD"}[i/3%2]}}},
		}
		p.PriceRange = app.RangeOf(p.Variants)
		docs = append(docs, productDoc{ID: p.ID, Fields: fieldsOf(&p, nil), Outbox: []eventDoc{}})
	}
	if _, err := s.products.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false)); err != nil {
		t.Fatal(err)
	}
	for label, x := range queries() {
		p := planOf(x.q, x.categories)
		var answer struct {
			QueryPlanner struct {
				WinningPlan stage `bson:"winningPlan"`
			} `bson:"queryPlanner"`
			ExecutionStats struct {
				Returned int `bson:"nReturned"`
				Docs     int `bson:"totalDocsExamined"`
			} `bson:"executionStats"`
		}
		find := bson.D{
			{Key: "find", Value: s.products.Name()}, {Key: "filter", Value: p.filter}, {Key: "sort", Value: p.sort}, {Key: "hint", Value: p.index},
			{Key: "limit", Value: x.q.Limit}, {Key: "projection", Value: only("version", "shown", "sort")},
		}
		err := s.products.Database().RunCommand(ctx, bson.D{{Key: "explain", Value: find}, {Key: "verbosity", Value: "executionStats"}}).Decode(&answer)
		if err != nil {
			t.Fatalf("%s: %v", label, err)
		}
		stages := answer.QueryPlanner.WinningPlan.all()
		if slices.Contains(stages, "COLLSCAN") {
			t.Errorf("%s: reads the whole collection: %v", label, stages)
		}
		if x.q.Slug != "" || len(x.q.SKUs) > 0 {
			continue
		}
		if slices.Contains(stages, "SORT") {
			t.Errorf("%s: sorts in memory: %v", label, stages)
		}
		if stats := answer.ExecutionStats; stats.Docs > stats.Returned {
			t.Errorf("%s: reads %d products to find %d: %v", label, stats.Docs, stats.Returned, stages)
		}
	}
}
