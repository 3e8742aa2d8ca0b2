package apidoc

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// renamer gives one source's names their final form.
type renamer struct {
	source     string
	schemes    map[string]string
	tags       map[string]string
	operations map[string]string
}

func (r *renamer) rename(n *yaml.Node) {
	walk(n, visitor{
		ref: func(v *yaml.Node) {
			if kind, name, ok := reference(v.Value); ok {
				final := r.source + "." + name
				if kind == "securitySchemes" {
					final = r.schemes[name]
				}
				v.Value = componentsPrefix + kind + "/" + final
			}
		},
		scheme: func(v *yaml.Node) {
			if name := r.schemes[v.Value]; name != "" {
				v.Value = name
			}
		},
		tag: func(v *yaml.Node) {
			if name := r.tags[v.Value]; name != "" {
				v.Value = name
			}
		},
		operation: func(v *yaml.Node) {
			if name := r.operations[v.Value]; name != "" {
				v.Value = name
			}
		},
	})
}

const componentsPrefix = "#/components/"

// reference takes a reference to a component apart.
func reference(ref string) (kind, name string, ok bool) {
	rest, ok := strings.CutPrefix(ref, componentsPrefix)
	if !ok {
		return "", "", false
	}
	kind, name, ok = strings.Cut(rest, "/")
	return kind, name, ok && !strings.Contains(name, "/")
}

// visitor is called for names; a nil function for none of its kind.
type visitor struct{ ref, scheme, tag, operation func(*yaml.Node) }

// named are the members whose own members' keys are names, not OpenAPI's or JSON Schema's.
var named = []string{
	"properties", "patternProperties", "dependentSchemas", "$defs", "responses", "content", "headers", "encoding", "examples", "links", "callbacks",
	"schemas", "parameters", "requestBodies", "securitySchemes", "pathItems", "variables",
}

// literal members are values of the API's own.
var literal = []string{"example", "default", "const", "enum", "value"}

// walk finds every name in a part of a document.
func walk(n *yaml.Node, v visitor) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			walk(item, v)
		}
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			member(n.Content[i].Value, n.Content[i+1], v)
		}
	}
}

func member(key string, value *yaml.Node, v visitor) {
	call := func(f func(*yaml.Node), n *yaml.Node) {
		if f != nil && n.Kind == yaml.ScalarNode {
			f(n)
		}
	}
	switch {
	case key == "$ref" || key == "operationRef":
		call(v.ref, value)
	case key == "operationId":
		call(v.operation, value)
	case key == "tags":
		for _, tag := range list(value) {
			call(v.tag, tag)
		}
	case key == "security":
		for _, requirement := range list(value) {
			for i := 0; i < len(requirement.Content); i += 2 {
				call(v.scheme, requirement.Content[i])
			}
		}
	case key == "mapping" && value.Kind == yaml.MappingNode: // of a discriminator; a bare name is one of schemas
		for i := 1; i < len(value.Content); i += 2 {
			if target := value.Content[i]; target.Kind == yaml.ScalarNode && !strings.ContainsAny(target.Value, "/#") {
				target.Value = componentsPrefix + "schemas/" + target.Value
			}
			call(v.ref, value.Content[i])
		}
	case slices.Contains(literal, key):
	case key == "examples" && value.Kind == yaml.SequenceNode: // of a schema
	case slices.Contains(named, key) && value.Kind == yaml.MappingNode:
		for i := 1; i < len(value.Content); i += 2 {
			walk(value.Content[i], v)
		}
	default:
		walk(value, v)
	}
}
