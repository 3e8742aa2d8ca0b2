package events

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Topic as it should be.
type Topic struct {
	Name       string
	Partitions int // 0 for the broker's default
	// Replicas of each partition; 0 for the broker's default.
	Replicas int
	// Settings of the topic, such as cleanup.policy; applied when it is created.
	Settings map[string]string
}

// EnsureTopics creates the topics that are missing, and leaves those that exist as
// they are: adding partitions to a topic moves keys to other partitions, which breaks
// their order, so that is an operator's decision.
func EnsureTopics(ctx context.Context, brokers []string, client string, log *slog.Logger, topics ...Topic) error {
	// An admin client logs to stderr only, and its calls return what matters.
	admin, err := kafka.NewAdminClient(config(brokers, client, kafka.ConfigMap{"log_level": 0}))
	if err != nil {
		return fmt.Errorf("make a Kafka admin client: %w", err)
	}
	defer within(admin.Close)
	specs := make([]kafka.TopicSpecification, len(topics))
	for i, t := range topics {
		specs[i] = kafka.TopicSpecification{Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.Replicas, Config: t.Settings}
		if t.Replicas == 0 {
			specs[i].ReplicationFactor = -1
		}
		if t.Partitions == 0 {
			specs[i].NumPartitions = -1
		}
	}
	limit := 10 * time.Second
	if end, has := ctx.Deadline(); has {
		limit = min(limit, time.Until(end))
	}
	results, err := admin.CreateTopics(ctx, specs, kafka.SetAdminRequestTimeout(limit), kafka.SetAdminOperationTimeout(limit))
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for _, r := range results {
		switch r.Error.Code() {
		case kafka.ErrNoError:
			log.Info("Topic created", "event.action", "topic-created", "kafka.topic", r.Topic)
		case kafka.ErrTopicAlreadyExists:
		default:
			return fmt.Errorf("create topic %s: %w", r.Topic, r.Error)
		}
	}
	for _, t := range topics {
		if !awaitLeaders(ctx, admin, t.Name, time.Now().Add(limit/2)) {
			log.Warn("A topic has partitions without a leader", "kafka.topic", t.Name)
		}
	}
	return nil
}

// awaitLeaders waits until the brokers tell of the topic and each partition has a leader. A moment after its creation
// they may not: who subscribed then would be told that there is no such topic, and ask again a good while later.
func awaitLeaders(ctx context.Context, admin *kafka.AdminClient, topic string, end time.Time) bool {
	for {
		all, err := admin.GetMetadata(&topic, false, max(1, int(time.Until(end).Milliseconds())))
		if err == nil && led(all.Topics[topic]) {
			return true
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func led(t kafka.TopicMetadata) bool {
	for _, p := range t.Partitions {
		if p.Leader < 0 || p.Error.Code() != kafka.ErrNoError {
			return false
		}
	}
	return len(t.Partitions) > 0 && t.Error.Code() == kafka.ErrNoError
}
