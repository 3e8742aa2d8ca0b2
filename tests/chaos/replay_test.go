package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/uuid"

	"souk/internal/events"
)

// topics are all that services consume from one another.
var topics = []string{
	"catalog.products.v1", "users.events.v1", "inventory.commands.v1", "inventory.events.v1", "payments.commands.v1", "payments.events.v1", "orders.events.v1",
}

// mark is where the partitions of all topics ended at some time. What is replayed is what came after it: else each round
// would replay the replays of those before.
type mark []kafka.TopicPartition

// now is the mark of this moment.
func (s *stack) now() (mark, error) {
	c, err := s.consumer()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var m mark
	for _, topic := range topics {
		meta, err := c.GetMetadata(&topic, false, 10_000)
		if err != nil {
			return nil, err
		}
		for _, p := range meta.Topics[topic].Partitions {
			_, high, err := c.QueryWatermarkOffsets(topic, p.ID, 10_000)
			if err != nil {
				return nil, err
			}
			m = append(m, kafka.TopicPartition{Topic: &topic, Partition: p.ID, Offset: kafka.Offset(high)})
		}
	}
	return m, nil
}

func (s *stack) consumer() (*kafka.Consumer, error) {
	return kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": s.KafkaBroker(), "group.id": "chaos-reads", "enable.auto.commit": false, "enable.partition.eof": true, "isolation.level": "read_committed",
	})
}

// recorded reads everything that was published after the mark, in the order of each partition.
func (s *stack) recorded(ctx context.Context, from mark) (all []events.Record, err error) {
	c, err := s.consumer()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Assign(from); err != nil {
		return nil, err
	}
	for ends := 0; ends < len(from); {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		switch e := c.Poll(500).(type) {
		case kafka.PartitionEOF:
			ends++
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return nil, e.TopicPartition.Error
			}
			r := events.Record{Topic: *e.TopicPartition.Topic, Key: e.Key, Value: e.Value}
			for _, h := range e.Headers {
				r.Headers = append(r.Headers, events.Header{Key: h.Key, Value: h.Value})
			}
			all = append(all, r)
		case kafka.Error:
			if e.IsFatal() {
				return nil, e
			}
		}
	}
	return all, nil
}

// publish writes the records again, as whoever published them first did; what fails half way it repeats, as they do.
func (s *stack) publish(ctx context.Context, all []events.Record) error {
	for {
		done, err := s.publishSome(ctx, all)
		all = all[done:]
		if len(all) == 0 {
			return nil
		}
		if !pause(ctx, time.Second) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// publishSome returns how many records are published for certain.
func (s *stack) publishSome(ctx context.Context, all []events.Record) (done int, err error) {
	p, err := events.Open(ctx, events.Options{
		Brokers: []string{s.KafkaBroker()}, ClientID: "chaos", TransactionalID: "chaos-replay", DeliveryTimeout: 20 * time.Second, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	for done < len(all) {
		n := min(len(all)-done, 500)
		if err := p.PublishRecords(ctx, all[done:done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// permuted mixes the records of different keys, and keeps those of one key of a topic in their order.
func permuted(seed uint64, all []events.Record) []events.Record {
	type lane struct{ topic, key string }
	lanes := map[lane][]events.Record{}
	tickets := make([]lane, len(all))
	for i, m := range all {
		l := lane{m.Topic, string(m.Key)}
		lanes[l] = append(lanes[l], m)
		tickets[i] = l
	}
	draw := rand.New(rand.NewPCG(seed, 0x5eed))
	draw.Shuffle(len(tickets), func(i, j int) { tickets[i], tickets[j] = tickets[j], tickets[i] })
	mixed := make([]events.Record, len(all))
	for i, l := range tickets {
		mixed[i], lanes[l] = lanes[l][0], lanes[l][1:]
	}
	return mixed
}

// anew gives each event another id, as a service does that asks again.
func anew(all []events.Record) []events.Record {
	fresh := slices.Clone(all)
	for i := range fresh {
		fresh[i].Headers = slices.Clone(fresh[i].Headers)
		for j, h := range fresh[i].Headers {
			if h.Key == "ce_id" {
				fresh[i].Headers[j].Value = []byte(uuid.Must(uuid.NewV7()).String())
			}
		}
	}
	return fresh
}

// caughtUp waits until every group that is at work has no lag on the topics.
func (s *stack) caughtUp(ctx context.Context) error {
	admin, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": s.KafkaBroker()})
	if err != nil {
		return err
	}
	defer admin.Close()
	for {
		behind, err := s.behind(ctx, admin)
		if err == nil && len(behind) == 0 {
			return nil
		}
		if !pause(ctx, 500*time.Millisecond) {
			return fmt.Errorf("consumers are behind: %v: %w", behind, errors.Join(err, ctx.Err()))
		}
	}
}

func (s *stack) behind(ctx context.Context, admin *kafka.AdminClient) (all []string, err error) {
	groups, err := admin.ListConsumerGroups(ctx, kafka.SetAdminMatchConsumerGroupStates([]kafka.ConsumerGroupState{kafka.ConsumerGroupStateStable}))
	if err != nil {
		return nil, err
	}
	if len(groups.Valid) == 0 {
		return nil, errors.New("no consumer group is at work")
	}
	mine := map[string]bool{}
	for _, t := range topics {
		mine[t] = true
	}
	for _, g := range groups.Valid {
		offsets, err := admin.ListConsumerGroupOffsets(ctx, []kafka.ConsumerGroupTopicPartitions{{Group: g.GroupID}})
		if err != nil {
			return nil, err
		}
		for _, group := range offsets.ConsumerGroupsTopicPartitions {
			latest := map[kafka.TopicPartition]kafka.OffsetSpec{}
			committed := map[string]kafka.Offset{}
			for _, p := range group.Partitions {
				if mine[*p.Topic] && p.Offset >= 0 {
					latest[kafka.TopicPartition{Topic: p.Topic, Partition: p.Partition}] = kafka.LatestOffsetSpec
					committed[fmt.Sprint(*p.Topic, p.Partition)] = p.Offset
				}
			}
			if len(latest) == 0 {
				continue
			}
			found, err := admin.ListOffsets(ctx, latest)
			if err != nil {
				return nil, err
			}
			for p, info := range found.ResultInfos {
				if lag := info.Offset - committed[fmt.Sprint(*p.Topic, p.Partition)]; lag > 0 {
					all = append(all, fmt.Sprintf("%s by %d on %s/%d", g.GroupID, lag, *p.Topic, p.Partition))
				}
			}
		}
	}
	return all, nil
}
