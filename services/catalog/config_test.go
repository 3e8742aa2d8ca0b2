package main

import (
	"strings"
	"testing"

	"souk/internal/config"
)

func TestTheDefaultsAreValid(t *testing.T) {
	if _, err := config.Parse(nil, Defaults()); err != nil {
		t.Error(err)
	}
}

func TestAnInvalidConfigurationIsRefusedWithEveryReason(t *testing.T) {
	for document, wants := range map[string][]string{
		"pages: {default: 50, max: 10}":                       {"pages.default"},
		"pages: {max: 1000}":                                  {"pages.max"},
		"outbox: {batch: 0, pending_per_product: 21}":         {"outbox.batch", "outbox.pending_per_product"},
		"request_timeout: 5":                                  {"duration"},
		"request_timeout: 1h":                                 {"request_timeout"},
		"mongo: {database: $where}":                           {"mongo.database"},
		"mongo: {parameters: 'x@elsewhere:27017/?tls=false'}": {"mongo.parameters"},
		"mongo: {password: hunter2}":                          {"password"},
		"log_level: loud":                                     {"loud"},
		"events: {partitions: 6}":                             {"events"}, // contracts/topics.yaml has them
	} {
		_, err := config.Parse([]byte(document), Defaults())
		if err == nil {
			t.Errorf("%s: it was taken", document)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not name %s", document, err, want)
			}
		}
	}
}

func TestTheDatabaseIsWhereConsulSays(t *testing.T) {
	c := Defaults()
	c.Mongo.Parameters = "replicaSet=rs0&tls=true"
	if got := c.store([]string{"10.0.0.1:27017", "10.0.0.2:27017"}).URI; got != "mongodb://10.0.0.1:27017,10.0.0.2:27017/?replicaSet=rs0&tls=true" {
		t.Error(got)
	}
}
