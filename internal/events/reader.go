package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Reader reads topics from their beginning, committed events only. It joins no group
// and keeps no offsets: it is for tests and tools that look at a whole topic.
type Reader struct {
	kafka *kafka.Consumer
	lines chan kafka.LogEvent
	log   *slog.Logger
}

// Read opens a reader of all partitions that the topics have now.
func Read(ctx context.Context, brokers []string, log *slog.Logger, topics ...string) (*Reader, error) {
	lines := make(chan kafka.LogEvent, 64)
	c, err := kafka.NewConsumer(config(brokers, "reader", logged(kafka.ConfigMap{
		"group.id":           "reader", // librdkafka wants a name, though no group is joined
		"enable.auto.commit": false,
		"auto.offset.reset":  "earliest",
		"isolation.level":    "read_committed",
		// what is fetched ahead of the reader
		"queued.max.messages.kbytes": 16 << 10,
		"fetch.wait.max.ms":          100,
	}, lines)))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka consumer: %w", err)
	}
	go forward(log, lines)
	r := &Reader{kafka: c, lines: lines, log: log}
	if err := r.assign(ctx, topics); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) assign(ctx context.Context, topics []string) error {
	var all []kafka.TopicPartition
	for _, topic := range topics {
		limit := 10 * time.Second
		if end, has := ctx.Deadline(); has {
			limit = min(limit, time.Until(end))
		}
		meta, err := r.kafka.GetMetadata(&topic, false, int(limit.Milliseconds()))
		if err != nil {
			return fmt.Errorf("find the partitions of %s: %w", topic, err)
		}
		found := meta.Topics[topic]
		if found.Error.Code() != kafka.ErrNoError {
			return fmt.Errorf("find the partitions of %s: %w", topic, found.Error)
		}
		for _, p := range found.Partitions {
			all = append(all, kafka.TopicPartition{Topic: &topic, Partition: p.ID, Offset: kafka.OffsetBeginning})
		}
	}
	return r.kafka.Assign(all)
}

// Next waits for the next event. A message that is no CloudEvent is an error that
// names its topic and offset; the next call goes on behind it.
func (r *Reader) Next(ctx context.Context) (Message, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Message{}, err
		}
		m, err := r.kafka.ReadMessage(100 * time.Millisecond)
		if err == nil {
			return decode(m)
		}
		// Anything but a fatal error passes: the client reconnects by itself.
		if ke := (kafka.Error{}); !errors.As(err, &ke) || ke.IsFatal() {
			return Message{}, fmt.Errorf("read: %w", err)
		}
	}
}

// Close frees the client, in three seconds at most.
func (r *Reader) Close() {
	closed := within(func() {
		_ = r.kafka.Close()
		close(r.lines)
	})
	if !closed {
		r.log.Warn("A Kafka consumer did not close in time; it is left behind")
	}
}
