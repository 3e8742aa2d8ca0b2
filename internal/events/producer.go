package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// ErrFenced says that a newer producer of the same TransactionalID has opened: what
// this one had not committed is void, and it will not publish again.
var ErrFenced = errors.New("a newer producer took over")

// Options of a Producer.
type Options struct {
	Brokers  []string // "host:port"
	ClientID string   // names the connection in the broker's logs
	// TransactionalID is the same for all instances of a service of which only one may
	// publish. The broker fences the older ones, whatever they believe of themselves.
	TransactionalID string
	// DeliveryTimeout bounds how long a message waits for all replicas that are in
	// sync to have it; 5 s if zero.
	DeliveryTimeout time.Duration
	// MaxMessageBytes bounds a message with its key and headers; 1,000,000 if zero.
	MaxMessageBytes int
	Log             *slog.Logger
}

// Producer publishes batches of events, each whole or not at all, to readers that
// read only what is committed (the default of librdkafka; Java clients set
// isolation.level=read_committed). It is idempotent and waits for all replicas in
// sync, so neither its own retries nor a failure half way can repeat, lose or reorder
// anything within a batch. One goroutine at a time may use it.
type Producer struct {
	kafka   *kafka.Producer
	limit   time.Duration
	log     *slog.Logger
	lines   chan kafka.LogEvent
	drained chan struct{}
	closing sync.Once
}

// Open connects, and voids whatever earlier producers of the same TransactionalID have
// not committed. It fails when ctx ends; Kafka being away is the usual reason.
func Open(ctx context.Context, opts Options) (*Producer, error) {
	if opts.TransactionalID == "" || len(opts.Brokers) == 0 {
		return nil, errors.New("a producer needs brokers and a transactional id")
	}
	limit := cmp.Or(opts.DeliveryTimeout, 5*time.Second)
	lines := make(chan kafka.LogEvent, 64)
	k, err := kafka.NewProducer(config(opts.Brokers, opts.ClientID, logged(kafka.ConfigMap{
		"transactional.id":             opts.TransactionalID,
		"enable.idempotence":           true,
		"acks":                         "all",
		"message.timeout.ms":           int(limit.Milliseconds()),
		"transaction.timeout.ms":       int(2 * limit.Milliseconds()),
		"compression.type":             "lz4",
		"message.max.bytes":            cmp.Or(opts.MaxMessageBytes, maxMessageBytes),
		"queue.buffering.max.messages": 10_000,
		"queue.buffering.max.kbytes":   32 << 10,
		"go.delivery.reports":          false, // the commit says what failed
		"go.events.channel.size":       64,    // by default these two take 24 MB
		"go.produce.channel.size":      1,
	}, lines)))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka producer: %w", err)
	}
	p := &Producer{kafka: k, limit: limit, log: opts.Log, lines: lines, drained: make(chan struct{})}
	go forward(opts.Log, lines)
	go p.drain()
	if err := p.bounded(ctx, k.InitTransactions); err != nil {
		p.Close()
		return nil, fmt.Errorf("open a Kafka producer: %w", err)
	}
	return p, nil
}

// maxMessageBytes is a topic's own limit as Kafka ships it (max.message.bytes).
const maxMessageBytes = 1_000_000

// drain empties the channel of client-wide errors, which would otherwise fill up and
// hold up delivery. The calls themselves return what matters.
func (p *Producer) drain() {
	defer close(p.drained)
	for e := range p.kafka.Events() {
		if err, isError := e.(kafka.Error); isError {
			trouble(p.log, err)
		}
	}
}

// Publish writes the messages in their order, as one transaction. nil means that all
// of them are on disk in every replica in sync. After an error the producer is spent:
// none or all of the messages may be published, so close it, open another and publish
// the same events again under the same ids.
func (p *Producer) Publish(ctx context.Context, messages []Message) error {
	encoded := make([]*kafka.Message, len(messages))
	for i, m := range messages {
		var err error
		if encoded[i], err = encode(m); err != nil {
			return err
		}
	}
	return p.publish(ctx, encoded)
}

// PublishRecords is Publish for messages that are encoded already. Where a record was
// found plays no part.
func (p *Producer) PublishRecords(ctx context.Context, records []Record) error {
	encoded := make([]*kafka.Message, len(records))
	for i, r := range records {
		encoded[i] = r.kafka()
		encoded[i].TopicPartition.Partition, encoded[i].TopicPartition.Offset = kafka.PartitionAny, kafka.OffsetInvalid
	}
	return p.publish(ctx, encoded)
}

func (p *Producer) publish(ctx context.Context, encoded []*kafka.Message) error {
	if len(encoded) == 0 {
		return nil
	}
	if err := p.kafka.BeginTransaction(); err != nil {
		return fmt.Errorf("begin to publish: %w", fenced(err))
	}
	for _, m := range encoded {
		if err := p.kafka.Produce(m, nil); err != nil {
			return fmt.Errorf("publish to %s: %w", *m.TopicPartition.Topic, fenced(err))
		}
	}
	if err := p.bounded(ctx, p.kafka.CommitTransaction); err != nil {
		return fmt.Errorf("publish %d events: %w", len(encoded), err)
	}
	return nil
}

// bounded runs a call that looks at its context's deadline but not at its end.
func (p *Producer) bounded(ctx context.Context, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*p.limit)
	defer cancel()
	for {
		err := call(ctx)
		if ke := (kafka.Error{}); errors.As(err, &ke) && ke.IsRetriable() && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		return fenced(err)
	}
}

func fenced(err error) error {
	ke := kafka.Error{}
	if !errors.As(err, &ke) {
		return err
	}
	switch ke.Code() {
	case kafka.ErrFenced, kafka.ErrProducerFenced, kafka.ErrInvalidProducerEpoch:
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return err
}

// Close drops what has not been published and frees the client, in three seconds at
// most: one that hangs longer is left behind. It may be called again.
func (p *Producer) Close() {
	p.closing.Do(func() {
		closed := within(func() {
			_ = p.kafka.Purge(kafka.PurgeQueue | kafka.PurgeInFlight | kafka.PurgeNonBlocking)
			p.kafka.Close()
			<-p.drained
			close(p.lines)
		})
		if !closed {
			p.log.Warn("A Kafka producer did not close in time; it is left behind")
		}
	})
}
