package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/uuid"

	"souk/internal/events"
)

// topics are all that services consume from one another.
var topics = []string{
	"catalog.products.v1", "users.events.v1", "inventory.commands.v1", "inventory.events.v1", "payments.commands.v1", "payments.events.v1", "orders.events.v1",
}

// recorded reads everything that the topics hold, in the order of each partition.
func (s *stack) recorded(ctx context.Context, names ...string) (all []events.Message, err error) {
	ends, err := s.ends(names)
	if err != nil {
		return nil, err
	}
	for _, topic := range names {
		reader, err := events.Read(ctx, []string{s.KafkaBroker()}, slog.New(slog.DiscardHandler), topic)
		if err != nil {
			return nil, err
		}
		// The marker behind the last transaction is an offset too, so a partition is read when nothing comes any more.
		for ends[topic] > 0 {
			quiet, cancel := context.WithTimeout(ctx, 2*time.Second)
			m, err := reader.Next(quiet)
			cancel()
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
				break
			}
			if err != nil {
				reader.Close()
				return nil, err
			}
			all = append(all, m)
		}
		reader.Close()
	}
	return all, nil
}

// ends sums up the ends of each topic's partitions.
func (s *stack) ends(names []string) (map[string]int64, error) {
	c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": s.KafkaBroker(), "group.id": "chaos-looks"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ends := map[string]int64{}
	for _, topic := range names {
		meta, err := c.GetMetadata(&topic, false, 10_000)
		if err != nil {
			return nil, err
		}
		for _, p := range meta.Topics[topic].Partitions {
			low, high, err := c.QueryWatermarkOffsets(topic, p.ID, 10_000)
			if err != nil {
				return nil, err
			}
			ends[topic] += high - low
		}
	}
	return ends, nil
}

// publish writes the messages again, as whoever published them first did; what fails half way it repeats, as they do.
func (s *stack) publish(ctx context.Context, all []events.Message) error {
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

// publishSome returns how many messages are published for certain.
func (s *stack) publishSome(ctx context.Context, all []events.Message) (done int, err error) {
	p, err := events.Open(ctx, events.Options{
		Brokers: []string{s.KafkaBroker()}, ClientID: "chaos", TransactionalID: "chaos-replay", DeliveryTimeout: 20 * time.Second, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	for done < len(all) {
		n := min(len(all)-done, 500)
		if err := p.Publish(ctx, all[done:done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// permuted mixes the messages of different keys, and keeps those of one key of a topic in their order.
func permuted(seed uint64, all []events.Message) []events.Message {
	type lane struct{ topic, key string }
	lanes := map[lane][]events.Message{}
	tickets := make([]lane, len(all))
	for i, m := range all {
		l := lane{m.Topic, m.Key}
		lanes[l] = append(lanes[l], m)
		tickets[i] = l
	}
	draw := rand.New(rand.NewPCG(seed, 0x5eed))
	draw.Shuffle(len(tickets), func(i, j int) { tickets[i], tickets[j] = tickets[j], tickets[i] })
	mixed := make([]events.Message, len(all))
	for i, l := range tickets {
		mixed[i], lanes[l] = lanes[l][0], lanes[l][1:]
	}
	return mixed
}

// anew gives each message another id, as a service does that asks again.
func anew(all []events.Message) []events.Message {
	fresh := make([]events.Message, len(all))
	for i, m := range all {
		fresh[i] = m
		fresh[i].Event = m.Event.Clone()
		fresh[i].Event.SetID(uuid.Must(uuid.NewV7()).String())
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
