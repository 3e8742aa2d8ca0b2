package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// table says which service answers a path. It is built whole from a configuration,
// checked, and never changed: another configuration gives another table.
type table struct {
	root     node
	services []string // every service named, sorted
}

// node is one segment of the patterns.
type node struct {
	literals  map[string]*node
	parameter *node
	resource  *resource
}

// resource is everything at one pattern.
type resource struct {
	pattern string
	routes  map[string]*route // by method
	allow   string            // the Allow header: "GET, HEAD"
}

// route is one method of one resource.
type route struct {
	pattern   string
	service   string
	backend   *service // its instances; set by bind
	document  string   // path at the service if it is another than the client's: of an OpenAPI document
	public    bool
	scopes    []string      // one of them, unless it is public; none: any token
	timeout   time.Duration // of a stream: until it begins
	stream    bool
	bodyLimit int
}

// ownPaths are answered by the gateway itself.
var ownPaths = []string{"docs", "openapi", "openapi.json", "openapi.yaml"}

const internalPaths = "what is below /internal is for services only; choose another path"

// isInternal: services serve such paths to each other.
func isInternal(path string) bool {
	return path == "/internal" || strings.HasPrefix(path, "/internal/")
}

// buildTable reports every conflict, by the settings' paths.
func buildTable(c *Config) (*table, error) {
	t := &table{}
	var problems []error
	patterns := map[string]string{} // pattern -> where it was first named
	add := func(at string, r Route, document string) {
		limit, timeout := r.BodyLimit, r.Timeout
		if limit == 0 {
			limit = c.Listen.BodyLimit
		}
		if timeout == 0 {
			timeout = c.Upstream.Timeout
		}
		res := t.resource(r.Path)
		if _, known := patterns[r.Path]; !known {
			for other, where := range patterns {
				if problem := conflict(r.Path, other); problem != "" {
					problems = append(problems, fmt.Errorf("%s.path: %s %s %s of %s", at, r.Path, problem, other, where))
				}
			}
			patterns[r.Path] = at
		}
		for _, m := range r.Methods {
			if res.routes[m] != nil {
				problems = append(problems, fmt.Errorf("%s: %s %s is routed already by %s; remove one", at, m, r.Path, patterns[r.Path]))
				continue
			}
			res.routes[m] = &route{
				pattern: r.Path, service: r.Service, document: document, public: r.Public, scopes: r.Scopes, timeout: timeout, stream: r.Stream, bodyLimit: limit,
			}
		}
		t.services = append(t.services, r.Service)
	}
	for i, r := range c.Routes {
		at := fmt.Sprintf("routes[%d]", i)
		if first, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/"); slices.Contains(ownPaths, first) || isParameter(first) {
			problems = append(problems, fmt.Errorf("%s.path: %s would hide the gateway's own /%s; use a prefix such as /v1", at, r.Path, strings.Join(ownPaths, " and /")))
			continue
		}
		if isInternal(r.Path) {
			problems = append(problems, fmt.Errorf("%s.path: %s: %s", at, r.Path, internalPaths))
			continue
		}
		add(at, r, "")
	}
	names := map[string]int{}
	for i, a := range c.APIs {
		if first, known := names[a.Name]; known {
			problems = append(problems, fmt.Errorf("apis[%d].name: %s is the name of apis[%d] already; rename one", i, a.Name, first))
			continue
		}
		names[a.Name] = i
		add(fmt.Sprintf("apis[%d]", i), Route{Path: documentPath(a.Name), Methods: []string{"GET"}, Service: a.Service, Public: true}, a.Path)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	slices.Sort(t.services)
	t.services = slices.Compact(t.services)
	t.root.finish()
	return t, nil
}

// bind gives every route its service, once, before the table is used.
func (t *table) bind(services map[string]*service) { t.root.bind(services) }

func (n *node) bind(services map[string]*service) {
	if n.resource != nil {
		for _, r := range n.resource.routes {
			r.backend = services[r.service]
		}
	}
	for _, child := range n.literals {
		child.bind(services)
	}
	if n.parameter != nil {
		n.parameter.bind(services)
	}
}

// documentPath is where clients find a service's OpenAPI document.
func documentPath(api string) string { return "/openapi/" + api + ".yaml" }

// resource is the place of a pattern in the tree.
func (t *table) resource(pattern string) *resource {
	n := &t.root
	for s := range strings.SplitSeq(pattern[1:], "/") {
		if isParameter(s) {
			if n.parameter == nil {
				n.parameter = &node{}
			}
			n = n.parameter
			continue
		}
		if n.literals == nil {
			n.literals = map[string]*node{}
		}
		if n.literals[s] == nil {
			n.literals[s] = &node{}
		}
		n = n.literals[s]
	}
	if n.resource == nil {
		n.resource = &resource{pattern: pattern, routes: map[string]*route{}}
	}
	return n.resource
}

// finish gives every resource with GET its HEAD, and its Allow header.
func (n *node) finish() {
	if r := n.resource; r != nil {
		if r.routes["GET"] != nil {
			r.routes["HEAD"] = r.routes["GET"]
		}
		methods := make([]string, 0, len(r.routes))
		for m := range r.routes {
			methods = append(methods, m)
		}
		slices.Sort(methods)
		r.allow = strings.Join(methods, ", ")
	}
	for _, child := range n.literals {
		child.finish()
	}
	if n.parameter != nil {
		n.parameter.finish()
	}
}

// find returns what is at a normalised path, or nil. A literal segment comes before a
// parameter.
func (t *table) find(path []byte) *resource {
	if len(path) == 0 || path[0] != '/' {
		return nil
	}
	return t.root.find(path)
}

func (n *node) find(path []byte) *resource {
	if len(path) == 0 {
		return n.resource
	}
	first, rest := segment(path)
	if child := n.literals[string(first)]; child != nil {
		if r := child.find(rest); r != nil {
			return r
		}
	}
	if n.parameter != nil && len(first) > 0 {
		return n.parameter.find(rest)
	}
	return nil
}

// conflict says why two different patterns can't both be in a table: "" if they can.
// One may be the special case of the other (/a/b of /a/{x}); two that only share some
// paths would leave open which of them is meant.
func conflict(a, b string) string {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	if len(as) != len(bs) {
		return ""
	}
	aSpecial, bSpecial := false, false
	for i := range as {
		switch ap, bp := isParameter(as[i]), isParameter(bs[i]); {
		case !ap && !bp && as[i] != bs[i]:
			return "" // no path in common
		case !ap && bp:
			aSpecial = true
		case ap && !bp:
			bSpecial = true
		}
	}
	switch {
	case aSpecial && bSpecial:
		return "matches some of the same paths, and neither is the special case, as"
	case !aSpecial && !bSpecial:
		return "matches the same paths with other parameter names as"
	}
	return ""
}
