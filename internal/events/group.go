package events

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Partition of a topic.
type Partition struct {
	Topic  string
	Number int32
}

// GroupOptions of a Group.
type GroupOptions struct {
	Brokers  []string // "host:port"
	Group    string
	ClientID string
	Topics   []string
	Log      *slog.Logger
	// Assigned and Revoked are called from within Poll and Close. When Revoked returns,
	// nothing may be at work on those partitions any more: they go to another member,
	// with what Done has noted. lost: they went already, and Done comes too late.
	Assigned func([]Partition)
	Revoked  func(partitions []Partition, lost bool)
}

// Group is one member of a consumer group. Partitions move between members without
// halting the others (cooperative-sticky); only committed events are read; offsets are
// stored by Done alone and committed within a second, or when the partition goes.
// Poll and Close are for one goroutine, the rest for any until Close.
type Group struct {
	kafka *kafka.Consumer
	lines chan kafka.LogEvent
	opts  GroupOptions
}

// sessionLimit is how long the others wait for a member that was killed.
const sessionLimit = 10 * time.Second

// Join makes a member; it connects in the background and reconnects by itself. A
// group that is new to a topic begins at the topic's beginning.
func Join(opts GroupOptions) (*Group, error) {
	if len(opts.Brokers) == 0 || opts.Group == "" || len(opts.Topics) == 0 {
		return nil, errors.New("a member of a group needs brokers, the group's name and topics")
	}
	lines := make(chan kafka.LogEvent, 64)
	c, err := kafka.NewConsumer(config(opts.Brokers, opts.ClientID, logged(kafka.ConfigMap{
		"group.id":                      opts.Group,
		"partition.assignment.strategy": "cooperative-sticky",
		"session.timeout.ms":            int(sessionLimit.Milliseconds()),
		"isolation.level":               "read_committed",
		"auto.offset.reset":             "earliest",
		"enable.auto.offset.store":      false,
		"enable.auto.commit":            true, // of what Done has stored
		"auto.commit.interval.ms":       1000,
		"enable.partition.eof":          true,
		"queued.max.messages.kbytes":    16 << 10, // what is fetched ahead of Poll
	}, lines)))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka consumer: %w", err)
	}
	go forward(opts.Log, lines)
	g := &Group{kafka: c, lines: lines, opts: opts}
	if err := c.SubscribeTopics(opts.Topics, g.rebalance); err != nil {
		g.Close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return g, nil
}

// rebalance leaves it to the client to assign or unassign when it returns, which also
// commits what is stored of the partitions that go.
func (g *Group) rebalance(c *kafka.Consumer, e kafka.Event) error {
	switch e := e.(type) {
	case kafka.AssignedPartitions:
		g.opts.Assigned(partitions(e.Partitions))
	case kafka.RevokedPartitions:
		g.opts.Revoked(partitions(e.Partitions), c.AssignmentLost())
	}
	return nil
}

func partitions(all []kafka.TopicPartition) []Partition {
	ps := make([]Partition, len(all))
	for i, p := range all {
		ps[i] = Partition{*p.Topic, p.Partition}
	}
	return ps
}

func (p Partition) kafka() []kafka.TopicPartition {
	return []kafka.TopicPartition{{Topic: &p.Topic, Partition: p.Number}}
}

// Polled is what Poll came back with.
type Polled uint8

// The kinds of Polled.
const (
	Nothing Polled = iota
	Found          // a record
	End            // the end of a partition: the Record has only topic, partition and offset
)

// Poll waits for the next record of any partition. It must be called all the time: a
// member that doesn't for five minutes is taken for dead. An error is final.
func (g *Group) Poll(wait time.Duration) (r Record, what Polled, err error) {
	switch e := g.kafka.Poll(int(wait.Milliseconds())).(type) {
	case *kafka.Message:
		if e.TopicPartition.Error == nil {
			return recordOf(e), Found, nil
		}
		g.opts.Log.Warn("Kafka consumer trouble", "error.message", e.TopicPartition.Error.Error()) // it passes
	case kafka.PartitionEOF:
		p := kafka.TopicPartition(e)
		return Record{Topic: *p.Topic, Partition: p.Partition, Offset: int64(p.Offset)}, End, nil
	case kafka.Error:
		if e.IsFatal() {
			return Record{}, Nothing, fmt.Errorf("poll: %w", e)
		}
		trouble(g.opts.Log, e)
	}
	return Record{}, Nothing, nil
}

// Done stores that everything of the record's partition before and including it is
// done. It fails if the partition is no longer ours; whoever has it repeats the work.
func (g *Group) Done(r Record) error { return g.store(r, r.Offset+1) }

// Passed stores that everything before an End is done, which moves the offset over
// the markers of transactions: so a group that has done all has no lag.
func (g *Group) Passed(end Record) error { return g.store(end, end.Offset) }

func (g *Group) store(r Record, next int64) error {
	_, err := g.kafka.StoreOffsets([]kafka.TopicPartition{{
		Topic: &r.Topic, Partition: r.Partition, Offset: kafka.Offset(next), LeaderEpoch: r.epoch,
	}})
	return err
}

// Pause keeps Poll from returning records of a partition that is assigned.
func (g *Group) Pause(p Partition) error { return g.kafka.Pause(p.kafka()) }

// Resume ends Pause.
func (g *Group) Resume(p Partition) error { return g.kafka.Resume(p.kafka()) }

// Lag gives, for the partitions that this member has, how many offsets lie between
// what the group has committed and the end. It asks the brokers.
func (g *Group) Lag(limit time.Duration) (map[Partition]int64, error) {
	ms := int(limit.Milliseconds())
	mine, err := g.kafka.Assignment()
	if err != nil || len(mine) == 0 {
		return nil, err
	}
	committed, err := g.kafka.Committed(mine, ms)
	if err != nil {
		return nil, fmt.Errorf("ask for committed offsets: %w", err)
	}
	lag := make(map[Partition]int64, len(committed))
	for _, p := range committed {
		low, high, err := g.kafka.QueryWatermarkOffsets(*p.Topic, p.Partition, ms)
		if err != nil {
			return nil, fmt.Errorf("ask for the end of %s %d: %w", *p.Topic, p.Partition, err)
		}
		next := low
		if p.Offset >= 0 {
			next = max(low, int64(p.Offset))
		}
		lag[Partition{*p.Topic, p.Partition}] = max(0, high-next)
	}
	return lag, nil
}

// Close commits what is done and leaves the group, in three seconds at most.
func (g *Group) Close() {
	closed := within(func() {
		_ = g.kafka.Close()
		close(g.lines)
	})
	if !closed {
		g.opts.Log.Warn("A Kafka consumer did not close in time; it is left behind")
	}
}
