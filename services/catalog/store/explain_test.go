package store_test

import (
	"testing"

	"souk/services/catalog/store"
	"souk/services/catalog/store/mongotest"
)

func TestMongoDBWalksOnlyTheIndex(t *testing.T) {
	uri, database := mongotest.MongoDB(t)
	s := open(t, uri, database)
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	store.ExplainTest(t, s)
}
