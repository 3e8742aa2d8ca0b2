// Package contracts is what services agree on who meet over Kafka: the topics of each
// environment (topics.yaml), a JSON Schema (draft 2020-12) for the data of every event
// (schemas/<service>/<name>.v<version>.json), and an AsyncAPI 3.0 document that says who
// sends what where (asyncapi.yaml). Tests hold the three together.
//
// A schema that was released, in released/, only changes so that old and new programs
// understand each other's events, as both are at work during a deployment and topics
// keep events for longer: members may be added that nobody must have, and nothing else
// (Incompatible). What needs more is a new type of event, with a new version in its name,
// published beside the old one until nobody reads that. Consumers pass over members that
// they don't know; a release copies schemas/ to released/.
package contracts

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
)

//go:embed topics.yaml asyncapi.yaml schemas released
var files embed.FS

// schema is a file of schemas/.
type schema struct {
	file  string // below schemas/
	URN   string `json:"$id"`
	Title string `json:"title"`
	// Types of events whose data it describes.
	Types []string `json:"x-event-types"`
}

// all reads schemas/, in the order of their files.
var all = sync.OnceValue(func() []schema {
	var found []schema
	err := fs.WalkDir(files, "schemas", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		s := schema{file: strings.TrimPrefix(name, "schemas/")}
		if err := json.Unmarshal(text, &s); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		found = append(found, s)
		return nil
	})
	if err != nil {
		panic(fmt.Errorf("contracts: %w", err)) // of a file in this program: tests see it
	}
	return found
})

// urns finds the schema of each type of event.
var urns = sync.OnceValue(func() map[string]string {
	byType := map[string]string{}
	for _, s := range all() {
		for _, kind := range s.Types {
			byType[kind] = s.URN
		}
	}
	return byType
})

// Schema is the ce_dataschema of a type of event ("souk.orders.order.confirmed.v1"):
// "urn:souk:schema:orders:order-confirmed:v1". It is "" for a type that has none.
func Schema(kind string) string { return urns()[kind] }

// Kinds gives the types of all events that have a schema, sorted.
func Kinds() []string {
	var kinds []string
	for kind := range urns() {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}
