package contracts

import (
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"souk/internal/events"
)

// asyncapi is what is looked at of the document.
type asyncapi struct {
	Channels map[string]struct {
		Address  string               `yaml:"address"`
		Messages map[string]reference `yaml:"messages"`
	} `yaml:"channels"`
	Operations map[string]struct {
		Action  string    `yaml:"action"`
		Channel reference `yaml:"channel"`
		Service string    `yaml:"x-service"`
	} `yaml:"operations"`
	Components struct {
		Messages map[string]struct {
			Name    string    `yaml:"name"`
			Payload reference `yaml:"payload"`
		} `yaml:"messages"`
	} `yaml:"components"`
}

type reference struct {
	Ref string `yaml:"$ref"`
}

func document(t *testing.T) (doc asyncapi) {
	t.Helper()
	text, err := files.ReadFile("asyncapi.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

var kindOfEvent = regexp.MustCompile(`^souk\.[a-z]+(\.[a-z]+(_[a-z]+)*)+\.v[0-9]+$`)

func TestEveryTypeOfEventHasOneSchemaThatIsNamedAfterIt(t *testing.T) {
	if _, err := compiled(); err != nil {
		t.Fatal(err)
	}
	owners, ids := map[string]string{}, map[string]string{}
	for _, s := range all() {
		if other, has := ids[s.URN]; has || s.URN == "" || s.Title == "" {
			t.Errorf("%s: the $id %q is that of %s too, or there is none, or no title", s.file, s.URN, other)
		}
		ids[s.URN] = s.file
		service, name := path.Split(s.file)
		service = strings.TrimSuffix(service, "/")
		for _, kind := range s.Types {
			if other, has := owners[kind]; has {
				t.Errorf("%s: %s has it too", kind, other)
			}
			owners[kind] = s.file
			if !kindOfEvent.MatchString(kind) || !strings.HasPrefix(kind, "souk."+service+".") {
				t.Errorf("%s: %s is no type of an event of %s", s.file, kind, service)
			}
			// Those that came first have other names, as they were released.
			if service == "catalog" || service == "users" {
				continue
			}
			parts := strings.Split(strings.ReplaceAll(kind, "_", "-"), ".")
			last := len(parts) - 1
			want := strings.Join(parts[2:last], "-")
			if urn := "urn:souk:schema:" + service + ":" + want + ":" + parts[last]; s.URN != urn || name != want+"."+parts[last]+".json" {
				t.Errorf("%s: has %q in %s, want %q in %s.%s.json", kind, s.URN, s.file, urn, want, parts[last])
			}
		}
	}
	if len(owners) < 40 || Schema("souk.orders.order.confirmed.v1") != "urn:souk:schema:orders:order-confirmed:v1" || Schema("other") != "" {
		t.Errorf("%d types; orders' confirmed has %q", len(owners), Schema("souk.orders.order.confirmed.v1"))
	}
}

func TestTheAsyncAPIDocumentHasEveryTopicAndEveryTypeOfEvent(t *testing.T) {
	doc := document(t)
	urnOf := map[string]string{}
	for _, s := range all() {
		urnOf["./schemas/"+s.file] = s.URN
	}
	var kinds []string
	for name, m := range doc.Components.Messages {
		kinds = append(kinds, m.Name)
		if urn := urnOf[m.Payload.Ref]; urn == "" || urn != Schema(m.Name) {
			t.Errorf("message %s: %s has the payload %q, want the schema %q", name, m.Name, m.Payload.Ref, Schema(m.Name))
		}
	}
	if slices.Sort(kinds); !slices.Equal(kinds, Kinds()) {
		t.Errorf("messages of types %v\nschemas of types  %v", kinds, Kinds())
	}
	var sent, addresses []string
	for name, channel := range doc.Channels {
		addresses = append(addresses, channel.Address)
		for _, m := range channel.Messages {
			id := strings.TrimPrefix(m.Ref, "#/components/messages/")
			if _, has := doc.Components.Messages[id]; !has {
				t.Errorf("channel %s: there is no %s", name, m.Ref)
			}
			sent = append(sent, id)
		}
	}
	if all := slices.Sorted(maps.Keys(doc.Components.Messages)); !slices.Equal(slices.Sorted(slices.Values(sent)), all) {
		t.Errorf("the channels have the messages %v\nof                          %v", sent, all)
	}
	if want := slices.Sorted(maps.Keys(agreed().Topics)); !slices.Equal(slices.Sorted(slices.Values(addresses)), want) {
		t.Errorf("channels %v\ntopics   %v", addresses, want)
	}
	senders := map[string]string{}
	for name, o := range doc.Operations {
		channel, has := doc.Channels[strings.TrimPrefix(o.Channel.Ref, "#/channels/")]
		if !has || o.Service == "" || (o.Action != "send" && o.Action != "receive") {
			t.Errorf("operation %s: %+v", name, o)
		}
		if o.Action == "send" {
			senders[channel.Address] += o.Service
		}
	}
	for name, topic := range agreed().Topics {
		if senders[name] != topic.PublishedBy {
			t.Errorf("%s is sent by %q in the document, and published by %q", name, senders[name], topic.PublishedBy)
		}
	}
}

func TestSchemasAreCompatibleWithWhatWasReleased(t *testing.T) {
	released := 0
	err := fs.WalkDir(files, "released", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		released++
		before, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		now, err := files.ReadFile("schemas" + strings.TrimPrefix(name, "released"))
		if err != nil {
			return err // what was published is still on the topics
		}
		problems, err := Incompatible(before, now)
		for _, p := range problems {
			t.Errorf("%s: %s", name, p)
		}
		return err
	})
	if err != nil || released == 0 {
		t.Errorf("%d released schemas: %v", released, err)
	}
}

func TestWhatIsCompatible(t *testing.T) {
	const (
		old    = `{"$id":"a","x-event-types":["k"],"type":"object","required":["id","kind"],"properties":{"id":{"type":"string","format":"uuid"},"kind":{"enum":["x","y"]},"lines":{"type":"array","items":{"$ref":"#/$defs/line"}}%s},"$defs":{"line":{"type":"object","required":["n"],"properties":{"n":{"type":"integer","minimum":1}}}}}`
		closed = `{"type":"object","properties":{"a":{}},"additionalProperties":false}`
	)
	base := strings.Replace(old, "%s", "", 1)
	change := func(from, to string) string {
		if !strings.Contains(base, from) {
			t.Fatalf("there is no %s", from)
		}
		return strings.Replace(base, from, to, 1)
	}
	for name, c := range map[string]struct {
		before, now, problem string // "" for none
	}{
		"the same":                    {base, base, ""},
		"a member more":               {base, strings.Replace(old, "%s", `,"more":{"type":"string"}`, 1), ""},
		"a member more, deeper":       {base, change(`"minimum":1}`, `"minimum":1},"m":{}`), ""},
		"a description":               {base, change(`"type":"string"`, `"type":"string","description":"d"`), ""},
		"a type of event more":        {base, change(`["k"]`, `["k","l"]`), ""},
		"order":                       {base, change(`["id","kind"]`, `["kind","id"]`), ""},
		"definition inlined":          {base, change(`{"$ref":"#/$defs/line"}`, `{"type":"object","required":["n"],"properties":{"n":{"type":"integer","minimum":1}}}`), ""},
		"another id":                  {base, change(`"$id":"a"`, `"$id":"b"`), "/: $id was a"},
		"a type of event less":        {base, change(`["k"]`, `[]`), "/: events of type k"},
		"a member must be":            {base, change(`["id","kind"]`, `["id","kind","lines"]`), "/: required has lines now"},
		"a member need not be":        {base, change(`["id","kind"]`, `["id"]`), "/: required has no longer kind"},
		"a member is gone":            {base, change(`"kind":{"enum":["x","y"]},`, ``), "/kind: is gone"},
		"another type":                {base, change(`"type":"integer"`, `"type":"number"`), "/lines/items/n: type was integer"},
		"a wider type":                {base, change(`"type":"string"`, `"type":["string","null"]`), "/id: type was string"},
		"a value less":                {base, change(`["x","y"]`, `["x"]`), "/kind: enum has no longer y"},
		"a value more":                {base, change(`["x","y"]`, `["x","y","z"]`), "/kind: enum has z now"},
		"a narrower bound":            {base, change(`"minimum":1`, `"minimum":2`), "/lines/items/n: minimum was 1"},
		"a new bound":                 {base, change(`"minimum":1`, `"minimum":1,"maximum":9`), "/lines/items/n: maximum is new"},
		"a format less":               {base, change(`,"format":"uuid"`, ``), "/id: format is gone"},
		"a bound beside a reference":  {base, change(`{"$ref":"#/$defs/line"}`, `{"$ref":"#/$defs/line","minProperties":1}`), "/lines/items: minProperties is new"},
		"a second, beside the first":  {base, change(`{"$ref":"#/$defs/line"}`, `{"$ref":"#/$defs/line","required":["m"]}`), "/lines/items: required (beside $ref) is new"},
		"a reference into nothing":    {base, change(`{"$ref":"#/$defs/line"}`, `{"$ref":"#/$defs/lime"}`), "/lines/items: was"},
		"closed":                      {base, change(`"type":"object","required":["id"`, `"additionalProperties":false,"type":"object","required":["id"`), "/: additionalProperties is new"},
		"a member more of what takes": {closed, strings.Replace(closed, `"a":{}`, `"a":{},"b":{}`, 1), "/b: is new"},
		"all members gone":            {closed, `{"type":"object","additionalProperties":false}`, "/a: is gone"},
	} {
		problems, err := Incompatible([]byte(c.before), []byte(c.now))
		if err != nil || (c.problem == "") != (len(problems) == 0) || c.problem != "" && !strings.HasPrefix(problems[0], c.problem) {
			t.Errorf("%s: %q, %v; want %q", name, problems, err, c.problem)
		}
	}
	if _, err := Incompatible([]byte("{"), []byte("{}")); err == nil {
		t.Error("no JSON is taken")
	}
}

func TestCheckRefusesWhatIsNotAsAgreed(t *testing.T) {
	const id = "0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55"
	message := func(change func(*events.Message), data string) events.Message {
		m := events.Message{Topic: "payments.commands.v1", Key: id, Event: events.New("1", "/orders", "souk.payments.refund.v1", []byte(data))}
		m.Event.SetSubject(id)
		m.Event.SetDataSchema("urn:souk:schema:payments:refund:v1")
		change(&m)
		return m
	}
	same := func(*events.Message) {}
	good := `{"order_id":"` + id + `","refund_id":"` + id + `","amount":{"amount":1290,"currency":"EUR"},"reason":"broken","more":[1]}`
	if err := Check(message(same, good)); err != nil {
		t.Error(err)
	}
	for name, m := range map[string]events.Message{
		"a type without a schema":  message(func(m *events.Message) { m.Event.SetType("souk.payments.pay.v1") }, good),
		"another schema":           message(func(m *events.Message) { m.Event.SetDataSchema("urn:souk:schema:payments:void:v1") }, good),
		"a subject that is no key": message(func(m *events.Message) { m.Key = "2" }, good),
		"no JSON":                  message(same, good[1:]),
		"two values":               message(same, good+good),
		"a member missing":         message(same, strings.Replace(good, "refund_id", "refund", 1)),
		"no UUID":                  message(same, strings.Replace(good, id, "7", 1)),
		"a fraction":               message(same, strings.Replace(good, "1290", "12.5", 1)),
		"too much":                 message(same, strings.Replace(good, "1290", "9007199254740993", 1)),
		"less than nothing":        message(same, strings.Replace(good, "1290", "-1", 1)),
	} {
		if err := Check(m); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestTopicsOfEachEnvironment(t *testing.T) {
	for env, want := range map[string]events.Topic{
		"dev":   {Partitions: 2, Replicas: 1},
		"prod":  {Partitions: 12, Replicas: 3},
		"other": {Partitions: 2, Replicas: 1},
	} {
		topics := Topics(env, "orders")
		if len(topics) != 3 || topics[2].Name != "payments.commands.v1" {
			t.Fatalf("%s: %+v", env, topics)
		}
		for _, topic := range topics {
			if topic.Partitions != want.Partitions || topic.Replicas != want.Replicas || topic.Settings["cleanup.policy"] != "delete" || topic.Settings["retention.ms"] != "604800000" {
				t.Errorf("%s: %+v", env, topic)
			}
		}
	}
	for name, topic := range agreed().Topics {
		if (topic.Cleanup != "delete" && topic.Cleanup != "compact") || topic.Retention <= 0 || topic.Key == "" {
			t.Errorf("%s: %+v", name, topic)
		}
	}
	for name, e := range agreed().Environments {
		if e.Replicas < e.MinInSync || e.MinInSync < 1 || e.Partitions < 1 || (e.Replicas > 1 && e.MinInSync < 2) {
			t.Errorf("%s: %+v: what is acknowledged may be lost, or nothing can be", name, e)
		}
	}
	catalog := Topics("prod", "catalog")
	if len(catalog) != 2 || catalog[0].Partitions != 1 || catalog[1].Settings["min.compaction.lag.ms"] != "604800000" || catalog[1].Settings["min.insync.replicas"] != "2" {
		t.Errorf("%+v", catalog)
	}
	if got := Consumed("dev", "users.events.v1", "nobody.knows.v1"); len(got) != 1 || got[0].Partitions != 2 {
		t.Errorf("%+v", got)
	}
	if got := Topics("dev", "notifications"); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
