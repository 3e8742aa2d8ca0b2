package contracts

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"souk/internal/events"
)

// defaultEnv is for programs that were told no environment, and for tests.
const defaultEnv = "dev"

// topics is topics.yaml.
type topics struct {
	Environments map[string]environment `yaml:"environments"`
	Topics       map[string]topic       `yaml:"topics"`
}

type environment struct {
	Partitions int `yaml:"partitions"`
	Replicas   int `yaml:"replicas"`
	MinInSync  int `yaml:"min_in_sync"`
}

type topic struct {
	PublishedBy string        `yaml:"published_by"`
	Key         string        `yaml:"key"`
	Partitions  int           `yaml:"partitions"` // instead of the environment's
	Cleanup     string        `yaml:"cleanup"`    // delete or compact
	Retention   time.Duration `yaml:"retention"`  // of compact: that nothing is compacted before
}

// agreed is topics.yaml, read once.
var agreed = sync.OnceValue(func() topics {
	text, err := files.ReadFile("topics.yaml")
	t := topics{}
	if err == nil {
		strict := yaml.NewDecoder(bytes.NewReader(text))
		strict.KnownFields(true)
		err = strict.Decode(&t)
	}
	if err != nil {
		panic(fmt.Errorf("contracts: topics.yaml: %w", err)) // a file in this program: tests see it
	}
	return t
})

// Topics gives the topics that a service publishes to, as an environment has them: what
// outbox.Options.Topics and events.EnsureTopics take. An environment that topics.yaml
// doesn't know is like dev; a service that publishes nothing has none.
func Topics(env, service string) []events.Topic {
	return Named(env, func(_ string, publisher string) bool { return publisher == service })
}

// Consumed gives those of the names that topics.yaml knows, as an environment has them,
// for whoever consumes them and comes before the one that publishes.
func Consumed(env string, names ...string) []events.Topic {
	return Named(env, func(name, _ string) bool { return slices.Contains(names, name) })
}

// Named gives the topics that choose picks by name and publishing service, by name.
func Named(env string, choose func(name, publisher string) bool) []events.Topic {
	a := agreed()
	e, has := a.Environments[env]
	if !has {
		e = a.Environments[defaultEnv]
	}
	var chosen []events.Topic
	for _, name := range slices.Sorted(maps.Keys(a.Topics)) {
		if t := a.Topics[name]; choose(name, t.PublishedBy) {
			chosen = append(chosen, t.in(name, e))
		}
	}
	return chosen
}

func (t topic) in(name string, e environment) events.Topic {
	kept := "retention.ms"
	if t.Cleanup == "compact" {
		kept = "min.compaction.lag.ms"
	}
	partitions := e.Partitions
	if t.Partitions > 0 {
		partitions = t.Partitions
	}
	return events.Topic{Name: name, Partitions: partitions, Replicas: e.Replicas, Settings: map[string]string{
		"cleanup.policy": t.Cleanup, kept: strconv.FormatInt(t.Retention.Milliseconds(), 10),
		"min.insync.replicas": strconv.Itoa(e.MinInSync),
	}}
}
