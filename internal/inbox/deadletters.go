package inbox

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"souk/internal/events"
)

// Headers that a dead letter has beside its own.
const (
	HeaderGroup     = "dlq-group"
	HeaderTopic     = "dlq-topic"
	HeaderPartition = "dlq-partition"
	HeaderOffset    = "dlq-offset"
	HeaderReason    = "dlq-reason" // poison, attempts, or behind: parked behind an earlier one of its key
	HeaderError     = "dlq-error"  // on one line; not there for behind
	HeaderAttempts  = "dlq-attempts"
	HeaderAt        = "dlq-at" // RFC 3339
)

// DeadLetterTopic is where a copy goes of what the group parks of the topic. It may
// hold a letter twice, known by its partition and offset; it is there to be watched
// and kept, for 30 days: replaying goes by the database.
func DeadLetterTopic(topic, group string) string { return topic + "." + group + ".dlq" }

// maxLetter is what a dead letter topic takes: any message of another topic, and the headers.
const maxLetter = 2 << 20

// deadLetters connects when there is one to write, which should be never.
type deadLetters struct {
	opts Options

	mu       sync.Mutex
	producer *events.Producer
	ensured  map[string]bool
}

const publishLimit = 20 * time.Second

func (d *deadLetters) publish(ctx context.Context, r events.Record, cause error, attempts int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	letter := r
	letter.Topic = DeadLetterTopic(r.Topic, d.opts.Group)
	if err := d.connect(ctx, r.Topic, letter.Topic); err != nil {
		return fmt.Errorf("connect to the dead letter topic: %w", err)
	}
	letter.Headers = append(r.Headers[:len(r.Headers):len(r.Headers)],
		header(HeaderGroup, d.opts.Group), header(HeaderTopic, r.Topic),
		header(HeaderPartition, strconv.Itoa(int(r.Partition))), header(HeaderOffset, strconv.FormatInt(r.Offset, 10)),
		header(HeaderReason, reason(cause)), header(HeaderAttempts, strconv.Itoa(attempts)),
		header(HeaderAt, time.Now().UTC().Format(time.RFC3339Nano)))
	if cause != nil {
		letter.Headers = append(letter.Headers, header(HeaderError, oneLine(cause)))
	}
	if err := d.producer.PublishRecords(ctx, []events.Record{letter}); err != nil {
		d.producer.Close() // it is spent
		d.producer = nil
		return fmt.Errorf("write a dead letter: %w", err)
	}
	return nil
}

// connect sees to it that there is a dead letter topic of another, as safe as that is.
func (d *deadLetters) connect(ctx context.Context, of, topic string) error {
	if d.producer != nil && d.ensured[topic] {
		return nil
	}
	brokers, err := d.opts.Brokers(ctx)
	if err != nil {
		return err
	}
	err = events.EnsureTopics(ctx, brokers, d.opts.Group, d.opts.Log, letterTopic(d.opts.topic(of), topic))
	if err != nil {
		return err
	}
	if d.ensured == nil {
		d.ensured = map[string]bool{}
	}
	d.ensured[topic] = true
	if d.producer != nil {
		return nil
	}
	// Every instance writes letters, so none may fence another: the id is this one's own.
	d.producer, err = events.Open(ctx, events.Options{
		Brokers: brokers, ClientID: d.opts.Group, TransactionalID: d.opts.Group + "-dlq-" + uuid.NewString(), MaxMessageBytes: maxLetter, Log: d.opts.Log,
	})
	return err
}

func letterTopic(of events.Topic, name string) events.Topic {
	settings := map[string]string{
		"max.message.bytes": strconv.Itoa(maxLetter), "retention.ms": strconv.FormatInt((30 * 24 * time.Hour).Milliseconds(), 10),
	}
	if inSync, has := of.Settings["min.insync.replicas"]; has {
		settings["min.insync.replicas"] = inSync
	}
	return events.Topic{Name: name, Partitions: 1, Replicas: of.Replicas, Settings: settings}
}

func (d *deadLetters) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.producer != nil {
		d.producer.Close()
		d.producer = nil
	}
}

func header(key, value string) events.Header { return events.Header{Key: key, Value: []byte(value)} }
