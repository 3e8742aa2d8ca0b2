package store_test

import (
	"testing"

	"souk/services/catalog/store"
	"souk/services/catalog/store/storetest"
)

func TestMongoDBWalksOnlyTheIndex(t *testing.T) {
	store.ExplainTest(t, storetest.OnMongoDB(t))
}
