package store

import (
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"souk/services/catalog/app"
)

// index is one of the products'.
type index struct {
	name   string
	fields []string
	unique bool
	sparse bool
}

// indexes are all there are. Each list has its own: equality on the leading fields,
// then the sort key, which makes a page one walk along the index; fields behind it
// drop what the other filters exclude before any product is fetched. Both directions
// of a sort share one. Twelve lists make a write touch that many more entries, which a
// catalogue, read a thousand times for each write, can afford.
var indexes = []index{
	{name: indexSlug, fields: []string{"slug"}, unique: true},
	{name: indexSKU, fields: []string{"variants.sku"}, unique: true},
	{name: indexOnce, fields: []string{"once.key"}, unique: true, sparse: true},
	{name: indexOnceExpires, fields: []string{"once.expires"}, sparse: true},
	{name: indexPending, fields: []string{"pending_since"}, sparse: true},

	{name: "all-age", fields: []string{"status", "_id", "category_id", "sort.price"}},
	{name: "all-price", fields: []string{"status", "sort.price", "category_id"}},
	{name: "all-title", fields: []string{"status", "sort.title", "category_id", "sort.price"}},
	{name: "all-updated", fields: []string{"status", "sort.updated", "category_id", "sort.price"}},

	{name: "category-age", fields: []string{"status", "category_id", "_id", "sort.price"}},
	{name: "category-price", fields: []string{"status", "category_id", "sort.price"}},
	{name: "category-title", fields: []string{"status", "category_id", "sort.title", "sort.price"}},
	{name: "category-updated", fields: []string{"status", "category_id", "sort.updated", "sort.price"}},

	{name: "brand-age", fields: []string{"status", "brand", "_id", "category_id", "sort.price"}},
	{name: "brand-price", fields: []string{"status", "brand", "sort.price", "category_id"}},
	{name: "brand-title", fields: []string{"status", "brand", "sort.title", "category_id", "sort.price"}},
	{name: "brand-updated", fields: []string{"status", "brand", "sort.updated", "category_id", "sort.price"}},
}

const (
	indexSlug        = "slug"
	indexSKU         = "sku"
	indexOnce        = "once"
	indexOnceExpires = "once-expires"
	indexPending     = "pending"
)

func (i index) model() mongo.IndexModel {
	keys := make(bson.D, len(i.fields))
	for n, field := range i.fields {
		keys[n] = bson.E{Key: field, Value: 1}
	}
	opts := options.Index().SetName(i.name)
	if i.unique {
		opts.SetUnique(true)
	}
	if i.sparse {
		opts.SetSparse(true)
	}
	return mongo.IndexModel{Keys: keys, Options: opts}
}

// Where sort keys are stored.
const (
	priceField   = "sort.price"
	titleField   = "sort.title"
	updatedField = "sort.updated"
)

// sortFields says where each order's key is stored, and how its index is called.
var sortFields = map[app.Sort]struct{ field, index string }{
	app.Newest:    {"_id", "age"},
	app.Oldest:    {"_id", "age"},
	app.Cheapest:  {priceField, "price"},
	app.Dearest:   {priceField, "price"},
	app.TitleUp:   {titleField, "title"},
	app.TitleDown: {titleField, "title"},
	app.Updated:   {updatedField, "updated"},
}

// maxMerged is the most categories whose index ranges are merged into one ordered
// list. MongoDB does up to 200 (internalQueryMaxScansToExplode) and would sort in
// memory beyond; that many categories are most of the catalogue anyway, so the list of
// all products serves, with the category as a filter within the index.
const maxMerged = 100

// plan is a query as MongoDB gets it.
type plan struct {
	index  string
	filter bson.D
	sort   bson.D
}

// planOf chooses the index by what a query fixes: slugs and SKUs find a handful of
// products, which are then sorted in memory; otherwise the brand, which is narrower
// than a category, or the category, or nothing leads the list that is sorted as asked.
func planOf(q app.Query, categories []string) plan {
	field := sortFields[q.Sort].field
	direction := 1
	if q.Sort.Descending() {
		direction = -1
	}
	p := plan{index: listOf(q, categories), sort: bson.D{{Key: field, Value: direction}}}
	add := func(key string, value any) { p.filter = append(p.filter, bson.E{Key: key, Value: value}) }
	if q.Slug != "" {
		add("slug", q.Slug)
	}
	if len(q.SKUs) > 0 {
		add("variants.sku", bson.D{{Key: "$in", Value: q.SKUs}})
	}
	add("status", string(q.Status))
	if q.Brand != "" {
		add("brand", q.Brand)
	}
	if len(categories) == 1 {
		add("category_id", categories[0])
	} else if len(categories) > 1 {
		add("category_id", bson.D{{Key: "$in", Value: categories}})
	}
	from, to := q.PriceKeys()
	price, page := span{from, to}, span{above: q.After}
	if direction < 0 {
		page = span{below: q.After}
	}
	if field == priceField {
		price, page = price.and(page), span{}
	}
	if page != (span{}) {
		add(field, page.bson())
	}
	if price != (span{}) {
		add(priceField, price.bson())
	}
	return p
}

// span is a range of sort keys, without its ends: a bound is a whole key that is to be
// left out, or the beginning of keys, which no key equals. "" bounds nothing.
type span struct{ above, below string }

func (s span) and(t span) span {
	s.above = max(s.above, t.above)
	if s.below == "" || t.below != "" && t.below < s.below {
		s.below = t.below
	}
	return s
}

func (s span) bson() bson.D {
	var d bson.D
	if s.above != "" {
		d = append(d, bson.E{Key: "$gt", Value: s.above})
	}
	if s.below != "" {
		d = append(d, bson.E{Key: "$lt", Value: s.below})
	}
	return d
}

func listOf(q app.Query, categories []string) string {
	switch order := sortFields[q.Sort].index; {
	case q.Slug != "":
		return indexSlug
	case len(q.SKUs) > 0:
		return indexSKU
	case q.Brand != "":
		return "brand-" + order
	case len(categories) > 0 && len(categories) <= maxMerged:
		return "category-" + order
	default:
		return "all-" + order
	}
}
