// Package events carries CloudEvents over Kafka: binary content mode, a producer
// that is fenced, the creation of topics, and a reader.
package events

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Event is a CloudEvents 1.0 event: attributes, extensions and data.
type Event = event.Event

// Message is an event on its way to or from a topic.
type Message struct {
	Topic       string
	Key         string // events of one key stay in order, in one partition
	Traceparent string // W3C trace context of what caused the event; "" for none
	Event       Event

	// Where a Reader found it.
	Partition int32
	Offset    int64
}

// Sequence is the extension that orders the events of one subject: a decimal number.
const Sequence = "sequence"

// Header names of the Kafka protocol binding 1.0.2, section 3.2.
const (
	attributePrefix = "ce_"
	contentType     = "content-type"
	traceparent     = "traceparent"
)

// New returns an event of the JSON media type.
func New(id, source, kind string, data []byte) Event {
	e := event.New(event.CloudEventsVersionV1)
	e.SetID(id)
	e.SetSource(source)
	e.SetType(kind)
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = data
	return e
}

// encode maps a message to Kafka's, in binary content mode. It refuses an event
// that lacks a required attribute.
func encode(m Message) (*kafka.Message, error) {
	if m.Topic == "" {
		return nil, errors.New("a message needs a topic")
	}
	if err := m.Event.Validate(); err != nil {
		return nil, fmt.Errorf("event %q: %w", m.Event.ID(), err)
	}
	e := m.Event
	headers := []kafka.Header{
		header(attributePrefix+"specversion", e.SpecVersion()),
		header(attributePrefix+"id", e.ID()),
		header(attributePrefix+"source", e.Source()),
		header(attributePrefix+"type", e.Type()),
	}
	if e.Subject() != "" {
		headers = append(headers, header(attributePrefix+"subject", e.Subject()))
	}
	if !e.Time().IsZero() {
		headers = append(headers, header(attributePrefix+"time", types.FormatTime(e.Time())))
	}
	if e.DataSchema() != "" {
		headers = append(headers, header(attributePrefix+"dataschema", e.DataSchema()))
	}
	for name, value := range e.Extensions() {
		text, err := types.Format(value)
		if err != nil {
			return nil, fmt.Errorf("event %q: extension %s: %w", e.ID(), name, err)
		}
		headers = append(headers, header(attributePrefix+name, text))
	}
	if e.DataContentType() != "" {
		headers = append(headers, header(contentType, e.DataContentType()))
	}
	if m.Traceparent != "" {
		headers = append(headers, header(traceparent, m.Traceparent))
	}
	slices.SortFunc(headers, func(a, b kafka.Header) int { return strings.Compare(a.Key, b.Key) })
	return &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &m.Topic, Partition: kafka.PartitionAny},
		Key:            []byte(m.Key),
		Value:          e.Data(),
		Headers:        headers,
	}, nil
}

func header(key, value string) kafka.Header { return kafka.Header{Key: key, Value: []byte(value)} }

// decode is the reverse of encode. It refuses a message that is no CloudEvent 1.0 in
// binary mode; headers that are neither attributes nor known are left out.
func decode(k *kafka.Message) (Message, error) {
	m := Message{Key: string(k.Key), Partition: k.TopicPartition.Partition, Offset: int64(k.TopicPartition.Offset)}
	if k.TopicPartition.Topic != nil {
		m.Topic = *k.TopicPartition.Topic
	}
	e := event.New(event.CloudEventsVersionV1)
	version := ""
	for _, h := range k.Headers {
		value := string(h.Value)
		name, isAttribute := strings.CutPrefix(strings.ToLower(h.Key), attributePrefix)
		switch {
		case strings.EqualFold(h.Key, contentType):
			e.SetDataContentType(value)
		case strings.EqualFold(h.Key, traceparent):
			m.Traceparent = value
		case !isAttribute:
		case name == "specversion":
			version = value
		case name == "id":
			e.SetID(value)
		case name == "source":
			e.SetSource(value)
		case name == "type":
			e.SetType(value)
		case name == "subject":
			e.SetSubject(value)
		case name == "dataschema":
			e.SetDataSchema(value)
		case name == "time":
			at, err := types.ParseTime(value)
			if err != nil {
				return m, fmt.Errorf("%s offset %d: ce_time: %w", m.Topic, m.Offset, err)
			}
			e.SetTime(at)
		default:
			e.SetExtension(name, value)
		}
	}
	if version != event.CloudEventsVersionV1 {
		return m, fmt.Errorf("%s offset %d: ce_specversion is %q, want %q", m.Topic, m.Offset, version, event.CloudEventsVersionV1)
	}
	e.DataEncoded = k.Value
	if err := e.Validate(); err != nil {
		return m, fmt.Errorf("%s offset %d: %w", m.Topic, m.Offset, err)
	}
	m.Event = e
	return m, nil
}
