package apidoc

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// maxNodes bounds what aliases may grow to.
const maxNodes = 200_000

// parse gives a document's root, with every alias in full.
func parse(text []byte) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 {
		return nil, errShape
	}
	left := maxNodes
	root, err := expand(document.Content[0], &left)
	if err != nil {
		return nil, err
	}
	version, paths := get(root, "openapi"), get(root, "paths")
	if version == nil || !strings.HasPrefix(version.Value, "3.1") || paths != nil && paths.Kind != yaml.MappingNode {
		return nil, errShape
	}
	return root, nil
}

// expand copies a tree, with aliases and merge keys (<<) resolved and without comments.
func expand(n *yaml.Node, left *int) (*yaml.Node, error) {
	if *left--; *left < 0 {
		return nil, errors.New("it is too large")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return expand(n.Alias, left)
	case yaml.ScalarNode:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: n.Tag, Value: n.Value, Style: n.Style &^ yaml.TaggedStyle}, nil
	case yaml.SequenceNode:
		out := sequence()
		for _, item := range n.Content {
			copied, err := expand(item, left)
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, copied)
		}
		return out, nil
	case yaml.MappingNode:
		return expandMapping(n, left)
	}
	return nil, errShape
}

func expandMapping(n *yaml.Node, left *int) (*yaml.Node, error) {
	out := mapping()
	var merged []*yaml.Node
	for i := 0; i < len(n.Content); i += 2 {
		value, err := expand(n.Content[i+1], left)
		if err != nil {
			return nil, err
		}
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode:
			return nil, errShape
		case key.Tag == "!!merge" && value.Kind == yaml.SequenceNode:
			merged = append(merged, value.Content...)
		case key.Tag == "!!merge":
			merged = append(merged, value)
		default:
			set(out, key.Value, value)
		}
	}
	for _, m := range merged { // what is said here, or earlier, comes first
		for key, value := range each(m) {
			if get(out, key) == nil {
				set(out, key, value)
			}
		}
	}
	return out, nil
}

func copyOf(n *yaml.Node) *yaml.Node {
	left := maxNodes
	return must(expand(n, &left))
}

// must is for what has no alias, and was measured before.
func must[T any](v T, err error) T {
	if err != nil {
		panic("apidoc: " + err.Error())
	}
	return v
}

func mapping() *yaml.Node  { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }
func sequence() *yaml.Node { return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"} }
func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

func pairs(texts ...string) *yaml.Node {
	m := mapping()
	for i := 0; i < len(texts); i += 2 {
		set(m, texts[i], scalar(texts[i+1]))
	}
	return m
}

// get is a member, or nil; of nil too.
func get(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func set(n *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content[i+1] = value
			return
		}
	}
	n.Content = append(n.Content, scalar(key), value)
}

// each gives the members, in their order; of nil none.
func each(n *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

func list(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

func sorted(m map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

func write(root *yaml.Node) (Document, error) {
	text, err := encode(root)
	if err != nil {
		return Document{}, err
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	err = errors.Join(e.Encode(root), e.Close())
	return Document{JSON: text, YAML: out.Bytes()}, err
}

// encode writes JSON in the order of the document.
func encode(n *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	e := jsontext.NewEncoder(&out)
	err := put(e, n)
	return bytes.TrimSpace(out.Bytes()), err
}

func put(e *jsontext.Encoder, n *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		err := e.WriteToken(jsontext.BeginObject)
		for key, value := range each(n) {
			err = errors.Join(err, e.WriteToken(jsontext.String(key)), put(e, value))
		}
		return errors.Join(err, e.WriteToken(jsontext.EndObject))
	case yaml.SequenceNode:
		err := e.WriteToken(jsontext.BeginArray)
		for _, item := range n.Content {
			err = errors.Join(err, put(e, item))
		}
		return errors.Join(err, e.WriteToken(jsontext.EndArray))
	}
	switch n.Tag {
	case "!!int", "!!float", "!!bool", "!!null":
		var v any
		if err := n.Decode(&v); err != nil {
			return err
		}
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Value, err)
		}
		return e.WriteValue(text)
	}
	return e.WriteToken(jsontext.String(n.Value)) // dates too
}
