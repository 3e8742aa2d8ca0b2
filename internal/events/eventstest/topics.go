// Package eventstest gives tests topics of their own.
package eventstest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"souk/internal/events"
)

// Create makes topics that go with the test.
func Create(t testing.TB, broker string, topics ...events.Topic) {
	t.Helper()
	if err := events.EnsureTopics(t.Context(), []string{broker}, "test", slog.New(slog.DiscardHandler), topics...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		admin, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": broker})
		if err == nil {
			defer admin.Close()
			names := make([]string, len(topics))
			for i, topic := range topics {
				names[i] = topic.Name
			}
			_, err = admin.DeleteTopics(ctx, names, kafka.SetAdminOperationTimeout(10*time.Second))
		}
		if err != nil {
			t.Errorf("delete the test's topics: %v", err)
		}
	})
}
