package main

import (
	"regexp"
	"slices"
	"strings"
)

// scopeName is how scopes are written here; RFC 6749, section 3.3, allows more.
var scopeName = regexp.MustCompile(`^[a-z][a-z0-9_-]*(:[a-z0-9_-]+)*$`)

// validateAccess: whom a route lets in must be said, so that nothing is public by oversight.
func (r *Route) validateAccess(p *problems, at string) {
	ways := 0
	for _, said := range []bool{r.Public, r.Authenticated, len(r.Scopes) > 0} {
		if said {
			ways++
		}
	}
	name := strings.Join(r.Methods, ", ") + " " + r.Path
	switch {
	case ways == 0:
		p.add("%s: %s does not say who may use it; write public: true (everybody), scopes: [one, or-another] (a token with one of them) or authenticated: true (any token)", at, name)
	case ways > 1:
		p.add("%s: %s says in several ways who may use it; keep one of public, scopes and authenticated", at, name)
	}
	for i, s := range r.Scopes {
		if !scopeName.MatchString(s) {
			p.add("%s.scopes: %q is no scope; write it as users knows it, such as catalog:write", at, s)
		} else if slices.Contains(r.Scopes[:i], s) {
			p.add("%s.scopes: %s is there twice; remove one", at, s)
		}
	}
}
