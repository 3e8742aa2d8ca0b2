package events

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func example() Message {
	e := New("0190", "/catalog", "souk.test.happened.v1", []byte(`{"a":1}`))
	e.SetSubject("p1")
	e.SetTime(time.Date(2026, 3, 1, 12, 0, 0, 5_000_000, time.UTC))
	e.SetDataSchema("urn:souk:schema:test:v1")
	e.SetExtension(Sequence, "7")
	return Message{Topic: "t", Key: "p1", Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Event: e}
}

func TestAnEventIsMappedToHeadersInBinaryMode(t *testing.T) {
	k, err := encode(example())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range k.Headers {
		got = append(got, h.Key+"="+string(h.Value))
	}
	want := []string{
		"ce_dataschema=urn:souk:schema:test:v1", "ce_id=0190", "ce_sequence=7", "ce_source=/catalog", "ce_specversion=1.0", "ce_subject=p1",
		"ce_time=2026-03-01T12:00:00.005Z", "ce_type=souk.test.happened.v1", "content-type=application/json",
		"traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	if !slices.Equal(got, want) {
		t.Errorf("headers\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if string(k.Key) != "p1" || string(k.Value) != `{"a":1}` {
		t.Errorf("key %q, value %q", k.Key, k.Value)
	}
	back, err := decode(k)
	if err != nil {
		t.Fatal(err)
	}
	if back.Event.String() != example().Event.String() || back.Traceparent != example().Traceparent {
		t.Errorf("read back %v, want %v", back.Event, example().Event)
	}
}

func TestWhatIsNoCloudEventIsRefusedWithItsPlace(t *testing.T) {
	for name, spoil := range map[string]func(*kafka.Message){
		"no headers":        func(k *kafka.Message) { k.Headers = nil },
		"another version":   func(k *kafka.Message) { replace(k, "ce_specversion", "0.3") },
		"no id":             func(k *kafka.Message) { replace(k, "ce_id", "") },
		"a time of no form": func(k *kafka.Message) { replace(k, "ce_time", "yesterday") },
		"a bad name":        func(k *kafka.Message) { k.Headers = append(k.Headers, header("ce_so-so", "1")) },
	} {
		t.Run(name, func(t *testing.T) {
			k, err := encode(example())
			if err != nil {
				t.Fatal(err)
			}
			k.TopicPartition.Offset = 41
			spoil(k)
			if _, err := decode(k); err == nil || !strings.Contains(err.Error(), "t offset 41") {
				t.Errorf("got %v, want an error that names topic and offset", err)
			}
		})
	}
}

func replace(k *kafka.Message, name, value string) {
	for i := range k.Headers {
		if k.Headers[i].Key == name {
			k.Headers[i].Value = []byte(value)
		}
	}
}

func TestAnEventWithoutRequiredAttributesIsNotSent(t *testing.T) {
	for name, m := range map[string]Message{
		"no topic":  {Event: example().Event},
		"no id":     {Topic: "t", Event: New("", "/catalog", "x", nil)},
		"no source": {Topic: "t", Event: New("1", "", "x", nil)},
		"no type":   {Topic: "t", Event: New("1", "/catalog", "", nil)},
		"no event":  {Topic: "t"},
	} {
		if _, err := encode(m); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}
