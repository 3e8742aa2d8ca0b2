package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"souk/internal/events"
	"souk/internal/logs"
)

// delivery is a record as Kafka gave it, and what settling it needs.
type delivery struct {
	events.Record
	message events.Message
	broken  error  // why it is no CloudEvent
	event   string // its identity
	key     string // what it is parked under
}

func delivered(r events.Record) delivery {
	d := delivery{Record: r, key: parkedKey(r)}
	d.message, d.broken = r.Decode()
	d.event = identity(d)
	return d
}

// identity is the event's for the inbox: of its source and id, which CloudEvents 1.0
// says are unique together, or of where it lies if it is no CloudEvent.
func identity(d delivery) string {
	if d.broken != nil {
		return digest("record", d.Topic, fmt.Sprint(d.Partition), fmt.Sprint(d.Offset))
	}
	return digest("event", d.message.Event.Source(), d.message.Event.ID())
}

func digest(parts ...string) string {
	plain := make([]byte, 0, 256)
	for _, part := range parts {
		plain = append(binary.BigEndian.AppendUint64(plain, uint64(len(part))), part...)
	}
	sum := sha256.Sum256(plain)
	return string(sum[:])
}

// parkedKey is what an event is parked under: its key, or its place if it has none.
func parkedKey(r events.Record) string {
	if len(r.Key) > 0 {
		return string(r.Key)
	}
	return fmt.Sprintf("\x00%d/%d", r.Partition, r.Offset)
}

// wants asks Wants. What has no type is no event, and is parked as such.
func (c *consumer) wants(r events.Record) bool {
	kind := r.Type()
	if c.Wants == nil || kind == "" || c.Wants(kind) {
		return true
	}
	c.metrics.events.WithLabelValues(r.Topic, "unwanted").Inc()
	return false
}

// Traced makes what is logged and published under the context part of the event's trace,
// or begins one if it has none. A handler of batches needs it: the events of one may
// belong to as many traces.
func Traced(ctx context.Context, m events.Message) context.Context {
	t, has := logs.ParseTraceparent(m.Traceparent)
	if !has {
		t = logs.NewTrace()
	}
	return logs.WithTrace(ctx, t.Child())
}
