package contracts

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// Incompatible compares a schema with what was released of it, and gives, one line each,
// what would keep a program of one version from reading events of the other: new programs
// old events (BACKWARD) and old programs new ones (FORWARD). So members that somebody
// may have may be added to objects, annotations may change, and everything else must be
// the same: what is narrower refuses old events, and what is wider is refused by old
// programs. An error means that one of the two can't be read.
func Incompatible(released, now []byte) ([]string, error) {
	var before, after map[string]any
	if err := json.Unmarshal(released, &before); err != nil {
		return nil, fmt.Errorf("the released schema: %w", err)
	}
	if err := json.Unmarshal(now, &after); err != nil {
		return nil, fmt.Errorf("the schema: %w", err)
	}
	c := comparison{before: before, after: after}
	if before["$id"] != after["$id"] {
		c.problem("", "$id was %v and is %v", before["$id"], after["$id"])
	}
	for _, kind := range without(list(before["x-event-types"]), list(after["x-event-types"])) {
		c.problem("", "events of type %v have another schema", kind)
	}
	c.schemas("", before, after, 0)
	return c.problems, nil
}

type comparison struct {
	before, after map[string]any // whole documents, for $ref
	problems      []string
}

func (c *comparison) problem(at, format string, args ...any) {
	if at == "" {
		at = "/"
	}
	c.problems = append(c.problems, at+": "+fmt.Sprintf(format, args...))
}

// annotations say nothing of what is valid. Definitions are looked at where they are used.
var annotations = []string{"$id", "$schema", "$comment", "$defs", "title", "description", "examples", "deprecated", "default"}

// maxDepth is deeper than any event; a schema that contains itself gets there.
const maxDepth = 32

// schemas compares what stands at the same place of both.
func (c *comparison) schemas(at string, before, after any, depth int) {
	if depth > maxDepth {
		c.problem(at, "is too deep to be compared")
		return
	}
	old, isOld := resolve(c.before, before)
	current, isNew := resolve(c.after, after)
	if !isOld || !isNew {
		if !reflect.DeepEqual(before, after) {
			c.problem(at, "was %v and is %v", before, after)
		}
		return
	}
	keywords := slices.Sorted(maps.Keys(old))
	for _, k := range slices.Sorted(maps.Keys(current)) {
		if _, has := old[k]; !has {
			keywords = append(keywords, k)
		}
	}
	for _, k := range keywords {
		if slices.Contains(annotations, k) || strings.HasPrefix(k, "x-") {
			continue
		}
		was, had := old[k]
		is, has := current[k]
		switch {
		case k == "properties":
			c.properties(at, old, current, depth)
		case k == "required", k == "enum":
			c.sets(at, k, list(was), list(is), had == has)
		case had && has && (k == "items" || k == "additionalProperties"):
			c.schemas(at+"/"+k, was, is, depth+1)
		case !had:
			c.problem(at, "%s is new: %v", k, is)
		case !has:
			c.problem(at, "%s is gone: %v", k, was)
		case !reflect.DeepEqual(was, is):
			c.problem(at, "%s was %v and is %v", k, was, is)
		}
	}
}

// properties may come, where the released schema takes members that it doesn't know.
func (c *comparison) properties(at string, old, current map[string]any, depth int) {
	before, _ := old["properties"].(map[string]any)
	after, _ := current["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if is, has := after[name]; has {
			c.schemas(at+"/"+name, before[name], is, depth+1)
		} else {
			c.problem(at+"/"+name, "is gone")
		}
	}
	if more, has := old["additionalProperties"]; has && more != true {
		for _, name := range slices.Sorted(maps.Keys(after)) {
			if _, has := before[name]; !has {
				c.problem(at+"/"+name, "is new, and programs that take only what they know are at work")
			}
		}
	}
}

// sets compares keywords whose order is of no matter. A list that is not there allows
// what an empty one does not, except for required.
func (c *comparison) sets(at, keyword string, was, is []any, both bool) {
	if !both && keyword != "required" {
		c.problem(at, "%s was %v and is %v", keyword, was, is)
		return
	}
	for _, v := range without(was, is) {
		c.problem(at, "%s has no longer %v", keyword, v)
	}
	for _, v := range without(is, was) {
		c.problem(at, "%s has %v now", keyword, v)
	}
}

// resolve follows "#/$defs/<name>", and takes in what stands beside the reference.
func resolve(document map[string]any, schema any) (map[string]any, bool) {
	s, is := schema.(map[string]any)
	for range maxDepth {
		ref, isRef := s["$ref"].(string)
		if !isRef {
			return s, is
		}
		definitions, _ := document["$defs"].(map[string]any)
		definition, has := definitions[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		if !has {
			return nil, false
		}
		whole := maps.Clone(definition)
		for k, v := range s {
			if _, both := definition[k]; both && !slices.Contains(annotations, k) {
				k += " (beside $ref)"
			}
			if k != "$ref" {
				whole[k] = v
			}
		}
		s = whole
	}
	return nil, false
}

func list(v any) []any {
	all, _ := v.([]any)
	return all
}

// without gives what is in all and not in those.
func without(all, those []any) (left []any) {
	for _, v := range all {
		if !slices.ContainsFunc(those, func(t any) bool { return reflect.DeepEqual(t, v) }) {
			left = append(left, v)
		}
	}
	return left
}
