// Package apidoc makes one OpenAPI 3.1 document of those of several services.
package apidoc

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Source is one service's document.
type Source struct {
	Name string // of the API: what its names are told apart by
	Text []byte // OpenAPI 3.1, YAML or JSON
}

// Info of the whole.
type Info struct{ Title, Version, Description string }

// Document is the merged one, in both spellings.
type Document struct {
	JSON, YAML []byte
	Skipped    []string // what could not be taken over, and why
}

// Check says whether a text can be a source.
func Check(text []byte) error {
	_, err := parse(text)
	return err
}

// Merge takes from each source what routed says is reachable from outside, and of its components
// what that needs. Components are called "<source>.<name>". A tag or an operationId that an earlier
// source has gets the source's name too. A security scheme that is the same in all is there once.
// The order is that of the sources. An error names the source that it is about.
func Merge(info Info, sources []Source, routed func(source, method, path string) bool) (Document, error) {
	m := merger{paths: mapping(), components: mapping(), webhooks: mapping(), tags: sequence(), operations: map[string]bool{}, tagged: map[string]bool{}, schemes: map[string]string{}}
	var about strings.Builder
	about.WriteString(info.Description)
	for _, s := range sources {
		root, err := parse(s.Text)
		if err != nil {
			return Document{}, fmt.Errorf("the document of %s: %w", s.Name, err)
		}
		m.add(s.Name, root, routed)
		if text := get(get(root, "info"), "description"); text != nil && strings.TrimSpace(text.Value) != "" {
			fmt.Fprintf(&about, "\n\n## %s\n\n%s", titleOf(root, s.Name), strings.TrimSpace(text.Value))
		}
	}
	top := mapping()
	set(top, "openapi", scalar("3.1.0"))
	set(top, "info", pairs("title", info.Title, "version", info.Version, "description", strings.TrimSpace(about.String())))
	servers := sequence()
	servers.Content = []*yaml.Node{pairs("url", "/")}
	set(top, "servers", servers)
	set(top, "tags", m.tags)
	set(top, "paths", m.paths)
	if len(m.webhooks.Content) > 0 {
		set(top, "webhooks", m.webhooks)
	}
	set(top, "components", m.needed())
	d, err := write(top)
	d.Skipped = m.skipped
	return d, err
}

func titleOf(root *yaml.Node, name string) string {
	if title := get(get(root, "info"), "title"); title != nil && title.Value != "" {
		return title.Value
	}
	return name
}

type merger struct {
	paths, components, webhooks, tags *yaml.Node
	operations, tagged                map[string]bool
	schemes                           map[string]string // name of a security scheme: what it says
	skipped                           []string
}

var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// shared parts of a path's item go to each of its operations, as another source may have the
// same path with others.
var sharedParts = []string{"parameters", "servers"}

func (m *merger) add(name string, root *yaml.Node, routed func(source, method, path string) bool) {
	r := renamer{source: name, schemes: map[string]string{}, tags: map[string]string{}, operations: map[string]string{}}
	m.nameSchemes(&r, get(get(root, "components"), "securitySchemes"))
	taken := map[string][]string{}
	for path, item := range each(get(root, "paths")) {
		for method, op := range each(item) {
			if !slices.Contains(methods, method) || !routed(name, strings.ToUpper(method), path) {
				continue
			}
			taken[path] = append(taken[path], method)
			m.nameOperation(&r, op)
		}
	}
	for path, item := range each(get(root, "paths")) {
		for _, method := range taken[path] {
			op := get(item, method)
			for _, part := range sharedParts {
				share(op, item, part)
			}
			if get(op, "security") == nil && get(root, "security") != nil {
				set(op, "security", copyOf(get(root, "security")))
			}
			r.rename(op)
			if problem := m.put(path, method, op); problem != "" {
				m.skipped = append(m.skipped, fmt.Sprintf("%s: %s %s: %s", name, strings.ToUpper(method), path, problem))
			}
		}
	}
	for hook, item := range each(get(root, "webhooks")) {
		for method, op := range each(item) {
			if slices.Contains(methods, method) {
				m.nameOperation(&r, op)
			}
		}
		r.rename(item)
		set(m.webhooks, unique(m.webhooks, hook, name), item)
	}
	m.addTags(&r, get(root, "tags"))
	for kind, all := range each(get(root, "components")) {
		into := get(m.components, kind)
		if into == nil {
			into = mapping()
			set(m.components, kind, into)
		}
		for component, value := range each(all) {
			final := name + "." + component
			if kind == "securitySchemes" {
				if final = r.schemes[component]; get(into, final) != nil {
					continue
				}
			}
			r.rename(value)
			set(into, final, value)
		}
	}
}

// put adds an operation, or says why not. The same path with parameters of other names is the
// same to OpenAPI.
func (m *merger) put(path, method string, op *yaml.Node) (problem string) {
	item := get(m.paths, path)
	if item == nil {
		for other := range each(m.paths) {
			if Shape(other) == Shape(path) {
				return "it is " + other + " of another document, with other parameter names"
			}
		}
		item = mapping()
		set(m.paths, path, item)
	}
	if get(item, method) != nil {
		return "it is in another document too"
	}
	set(item, method, op)
	return ""
}

// Shape of a path leaves its parameters' names out.
func Shape(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") {
			parts[i] = "{}"
		}
	}
	return strings.Join(parts, "/")
}

// share copies a part of a path's item to an operation; of parameters, those that it does not
// have itself.
func share(op, item *yaml.Node, part string) {
	all := get(item, part)
	own := get(op, part)
	switch {
	case all == nil:
	case own == nil:
		set(op, part, copyOf(all))
	case part == "parameters":
		for _, p := range all.Content {
			if !slices.ContainsFunc(own.Content, func(o *yaml.Node) bool { return sameParameter(o, p) }) {
				own.Content = append(own.Content, copyOf(p))
			}
		}
	}
}

func sameParameter(a, b *yaml.Node) bool {
	text := func(n *yaml.Node, key string) string {
		if v := get(n, key); v != nil {
			return v.Value
		}
		return ""
	}
	if ref := text(a, "$ref"); ref != "" || text(b, "$ref") != "" {
		return ref == text(b, "$ref")
	}
	return text(a, "name") == text(b, "name") && text(a, "in") == text(b, "in")
}

// nameSchemes decides what the source's security schemes are called.
func (m *merger) nameSchemes(r *renamer, schemes *yaml.Node) {
	for scheme, value := range each(schemes) {
		said := string(must(encode(value)))
		name := scheme
		if known, taken := m.schemes[name]; taken && known != said {
			name = r.source + "." + scheme
		}
		m.schemes[name] = said
		r.schemes[scheme] = name
	}
}

func (m *merger) nameOperation(r *renamer, op *yaml.Node) {
	if id := get(op, "operationId"); id != nil {
		name := id.Value
		if m.operations[name] {
			name = r.source + "." + name
		}
		m.operations[name] = true
		r.operations[id.Value] = name
	}
	for _, tag := range list(get(op, "tags")) {
		name := tag.Value
		if m.tagged[name] {
			name = r.source + ": " + name
		}
		r.tags[tag.Value] = name
	}
}

// addTags keeps those that are used, first those that the source describes.
func (m *merger) addTags(r *renamer, described *yaml.Node) {
	done := map[string]bool{}
	for _, tag := range list(described) {
		name := get(tag, "name")
		if name == nil || r.tags[name.Value] == "" {
			continue
		}
		done[name.Value] = true
		name.Value = r.tags[name.Value]
		m.tags.Content = append(m.tags.Content, tag)
	}
	for tag, name := range sorted(r.tags) {
		if !done[tag] {
			m.tags.Content = append(m.tags.Content, pairs("name", name))
		}
	}
	for _, name := range r.tags {
		m.tagged[name] = true
	}
}

func unique(in *yaml.Node, key, source string) string {
	if get(in, key) != nil {
		return source + "." + key
	}
	return key
}

// needed are the components that paths and webhooks lead to.
func (m *merger) needed() *yaml.Node {
	reached := map[string]bool{}
	var follow func(n *yaml.Node)
	reach := func(kind, name string) {
		if component := get(get(m.components, kind), name); component != nil && !reached[kind+"/"+name] {
			reached[kind+"/"+name] = true
			follow(component)
		}
	}
	follow = func(n *yaml.Node) {
		walk(n, visitor{
			ref:    func(v *yaml.Node) { kind, name, _ := reference(v.Value); reach(kind, name) },
			scheme: func(v *yaml.Node) { reach("securitySchemes", v.Value) },
		})
	}
	follow(m.paths)
	follow(m.webhooks)
	left := mapping()
	for kind, all := range each(m.components) {
		some := mapping()
		for name, value := range each(all) {
			if reached[kind+"/"+name] {
				set(some, name, value)
			}
		}
		if len(some.Content) > 0 {
			set(left, kind, some)
		}
	}
	return left
}

// errShape is for what is no OpenAPI document at all.
var errShape = errors.New("it is no OpenAPI 3.1 document")
