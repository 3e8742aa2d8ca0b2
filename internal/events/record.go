package events

import (
	"fmt"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Record is a message as Kafka has it, which may or may not be a CloudEvent.
type Record struct {
	Topic   string
	Key     []byte
	Headers []Header
	Value   []byte

	// Where a Group found it.
	Partition int32
	Offset    int64
	epoch     *int32 // of the partition's leader; goes with the offset when that is stored
}

// Header of a Record.
type Header struct {
	Key   string
	Value []byte
}

// Size in bytes of what the record carries.
func (r Record) Size() int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// Type is the event's type (ce_type), "" if the record has none.
func (r Record) Type() string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Key, attributePrefix+"type") {
			return string(h.Value)
		}
	}
	return ""
}

// FlatHeaders is the headers as name, value, name, value: a bytea[] in PostgreSQL,
// which unlike text takes whatever a foreign producer has written.
func (r Record) FlatHeaders() [][]byte {
	flat := make([][]byte, 0, 2*len(r.Headers))
	for _, h := range r.Headers {
		value := h.Value
		if value == nil {
			value = []byte{}
		}
		flat = append(flat, []byte(h.Key), value)
	}
	return flat
}

// Headers is the reverse of Record.FlatHeaders.
func Headers(flat [][]byte) ([]Header, error) {
	if len(flat)%2 != 0 {
		return nil, fmt.Errorf("%d names and values of headers, which is odd", len(flat))
	}
	headers := make([]Header, 0, len(flat)/2)
	for i := 0; i < len(flat); i += 2 {
		headers = append(headers, Header{Key: string(flat[i]), Value: flat[i+1]})
	}
	return headers, nil
}

// Encode maps a message to Kafka's, in binary content mode. It refuses an event
// that lacks a required attribute.
func Encode(m Message) (Record, error) {
	k, err := encode(m)
	if err != nil {
		return Record{}, err
	}
	return recordOf(k), nil
}

// Decode is the reverse of Encode. It refuses a record that is no CloudEvent 1.0 in
// binary mode; headers that are neither attributes nor known are left out.
func (r Record) Decode() (Message, error) { return decode(r.kafka()) }

func recordOf(k *kafka.Message) Record {
	r := Record{Key: k.Key, Value: k.Value, Partition: k.TopicPartition.Partition, Offset: int64(k.TopicPartition.Offset), epoch: k.TopicPartition.LeaderEpoch}
	if k.TopicPartition.Topic != nil {
		r.Topic = *k.TopicPartition.Topic
	}
	r.Headers = make([]Header, len(k.Headers))
	for i, h := range k.Headers {
		r.Headers[i] = Header{Key: h.Key, Value: h.Value}
	}
	return r
}

func (r Record) kafka() *kafka.Message {
	k := &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &r.Topic, Partition: r.Partition, Offset: kafka.Offset(r.Offset)},
		Key:            r.Key,
		Value:          r.Value,
		Headers:        make([]kafka.Header, len(r.Headers)),
	}
	for i, h := range r.Headers {
		k.Headers[i] = kafka.Header{Key: h.Key, Value: h.Value}
	}
	return k
}
