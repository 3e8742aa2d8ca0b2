package store

import (
	"context"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo/options"

	"souk/internal/money"
	"souk/services/catalog/app"
)

// offerDoc is the part of a product that prices take.
type offerDoc struct {
	ID       string     `bson:"_id"`
	Version  int64      `bson:"version"`
	Status   app.Status `bson:"status"`
	Title    string     `bson:"title"`
	Currency string     `bson:"currency"`
	Variants []struct {
		SKU   string `bson:"sku"`
		Title string `bson:"title"`
		Price int64  `bson:"price"`
	} `bson:"variants"`
}

// Offers implements app.Store.
func (s *Store) Offers(ctx context.Context, skus []string) ([]app.Offer, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	cursor, err := s.products.Find(ctx, bson.D{{Key: "variants.sku", Value: bson.D{{Key: "$in", Value: skus}}}},
		options.Find().SetHint(indexSKU).SetBatchSize(int32(len(skus))).
			SetProjection(only("version", "status", "title", "currency", "variants.sku", "variants.title", "variants.price")))
	if err != nil {
		return nil, failed(err)
	}
	var docs []offerDoc
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, failed(err)
	}
	wanted := make(map[string]bool, len(skus))
	for _, sku := range skus {
		wanted[sku] = true
	}
	offers := make([]app.Offer, 0, len(skus))
	for _, d := range docs {
		for _, v := range d.Variants {
			if wanted[v.SKU] {
				delete(wanted, v.SKU) // MongoDB finds a product once however many of its SKUs match; not every server that speaks its protocol does
				offers = append(offers, app.Offer{
					SKU: v.SKU, ProductID: d.ID, Version: d.Version, Name: app.OfferName(d.Title, v.Title),
					Price: money.Amount{Minor: v.Price, Currency: d.Currency}, Active: d.Status == app.Active,
				})
			}
		}
	}
	return offers, nil
}
