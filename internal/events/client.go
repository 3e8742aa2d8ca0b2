package events

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// config is what every client of ours has in common. Brokers that are away are tried
// again within two seconds, so that a client heals as soon as they are back.
func config(brokers []string, client string, more kafka.ConfigMap) *kafka.ConfigMap {
	c := kafka.ConfigMap{
		"bootstrap.servers":                  strings.Join(brokers, ","),
		"client.id":                          client,
		"socket.keepalive.enable":            true,
		"reconnect.backoff.ms":               100,
		"reconnect.backoff.max.ms":           2000,
		"allow.auto.create.topics":           false,
		"enable.metrics.push":                false,
		"topic.metadata.refresh.interval.ms": 10_000, // also until a topic that was missing is seen
	}
	maps.Copy(c, more)
	return &c
}

// logged makes a client write its log lines to a channel, rather than to stderr.
func logged(more kafka.ConfigMap, lines chan kafka.LogEvent) kafka.ConfigMap {
	more["go.logs.channel.enable"], more["go.logs.channel"] = true, lines
	return more
}

// forward writes librdkafka's log lines to ours until the channel closes. What it
// calls an error is one connection's trouble, which it mends itself: a warning.
func forward(log *slog.Logger, lines <-chan kafka.LogEvent) {
	for l := range lines {
		level := slog.LevelWarn
		if l.Level > 4 { // syslog: 5 is a notice
			level = slog.LevelDebug
		}
		log.Log(context.Background(), level, l.Message, "event.action", "kafka-"+strings.ToLower(l.Tag))
	}
}

// trouble logs what a client says of itself as a whole. That the brokers are away it
// repeats twice a second.
func trouble(log *slog.Logger, err kafka.Error) {
	level := slog.LevelWarn
	if err.Code() == kafka.ErrAllBrokersDown || err.Code() == kafka.ErrTransport {
		level = slog.LevelDebug
	}
	log.Log(context.Background(), level, "Kafka client trouble", "error.message", err.Error(), "event.code", err.Code().String())
}

// closeLimit bounds closing a client.
const closeLimit = 3 * time.Second

// within runs a call of librdkafka that takes no deadline, and gives up waiting for
// it after closeLimit: closing can hang on a broker that doesn't answer, and so does
// leaving a group that waits for a member which was killed.
func within(call func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		call()
	}()
	select {
	case <-done:
		return true
	case <-time.After(closeLimit):
		return false
	}
}
