package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"souk/internal/discovery"
)

// Config is the gateway's configuration: souk/<env>/gateway in Consul's KV store.
// Routes, APIs, CORS and the log level change while it runs, without a dropped
// request; the rest counts from the next start.
type Config struct {
	LogLevel slog.Level `yaml:"log_level"` // debug, info, warn, error
	Listen   Listen     `yaml:"listen"`
	Upstream Upstream   `yaml:"upstream"`
	Streams  Streams    `yaml:"streams"`
	CORS     CORS       `yaml:"cors"`
	Routes   []Route    `yaml:"routes"`
	APIs     []API      `yaml:"apis"`
}

// Listen bounds what clients may send and hold. Counts from the next start.
type Listen struct {
	BodyLimit      int           `yaml:"body_limit"`      // bytes of a request's body, else 413
	HeaderLimit    int           `yaml:"header_limit"`    // bytes of the request line and all headers, else 431
	Connections    int           `yaml:"connections"`     // open ones; one more is closed at once
	Requests       int           `yaml:"requests"`        // answered at the same time, else 503
	ReadTimeout    time.Duration `yaml:"read_timeout"`    // to read one whole request, else 408
	WriteTimeout   time.Duration `yaml:"write_timeout"`   // without the client taking a byte
	IdleTimeout    time.Duration `yaml:"idle_timeout"`    // between two requests of a connection
	DrainDelay     time.Duration `yaml:"drain_delay"`     // after SIGTERM, before the listener closes
	DrainTimeout   time.Duration `yaml:"drain_timeout"`   // after SIGTERM, until requests in flight are cut off
	TrustForwarded bool          `yaml:"trust_forwarded"` // only a load balancer of ours reaches the port, and it sets X-Forwarded-* itself
}

// Upstream is how instances of services are called. Counts from the next start.
type Upstream struct {
	Timeout        time.Duration `yaml:"timeout"`         // of routes that name none; changes at once
	ConnectTimeout time.Duration `yaml:"connect_timeout"` // TCP and TLS together, then the next instance is tried
	Connections    int           `yaml:"connections"`     // to one instance
	IdleTimeout    time.Duration `yaml:"idle_timeout"`    // an unused connection is closed after it; shorter than the services' own
	ResponseLimit  int           `yaml:"response_limit"`  // bytes of an answer's body, else 502
	VanishGrace    time.Duration `yaml:"vanish_grace"`    // how long the last instances serve after all vanished from Consul at once
}

// Streams bounds answers that go on: server-sent events, on routes that say stream: true.
// Limit counts from the next start, the rest at once, for streams that begin after it.
type Streams struct {
	Limit       int           `yaml:"limit"`        // open ones, else 503
	Each        int           `yaml:"each"`         // of one principal, or of one address where the route is public, else 429
	IdleTimeout time.Duration `yaml:"idle_timeout"` // without a byte from the service, whose heartbeats count; then it is broken off
	MaxTime     time.Duration `yaml:"max_time"`     // then the client must come again; never longer than its token is valid
}

// CORS names the web origins whose pages may call the API. Credentials (cookies) are
// never allowed: callers send tokens.
type CORS struct {
	Origins []string `yaml:"origins"` // https://shop.example; none by default
}

// Route sends requests for one path to a service. It says who may use it, in one of three
// ways: there is no default.
type Route struct {
	Path    string   `yaml:"path"`    // /v1/products/{id}: a parameter is a whole segment
	Methods []string `yaml:"methods"` // HEAD comes with GET, OPTIONS with any
	Service string   `yaml:"service"` // as registered in Consul

	Public        bool     `yaml:"public"`        // everybody; Authorization is the service's to read
	Scopes        []string `yaml:"scopes"`        // whose access token has one of these
	Authenticated bool     `yaml:"authenticated"` // who has an access token

	Stream    bool          `yaml:"stream"`     // events (Accept: text/event-stream) are passed on as they come; see streams
	Timeout   time.Duration `yaml:"timeout"`    // for everything, retries too, but only the head of a stream; 0: upstream.timeout
	BodyLimit int           `yaml:"body_limit"` // bytes; 0: listen.body_limit
}

// API is a service's OpenAPI document: served as /openapi/<name>.yaml and shown at /docs/.
type API struct {
	Name    string `yaml:"name"`
	Service string `yaml:"service"`
	Path    string `yaml:"path"` // of the document at the service
}

// Defaults are in force where the document says nothing. There is no route by default,
// so a gateway does not start, or lose its routes, without a document.
func Defaults() Config {
	return Config{
		Listen: Listen{
			BodyLimit: 1 << 20, HeaderLimit: 16 << 10, Connections: 4096, Requests: 1024,
			ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
			DrainDelay: time.Second, DrainTimeout: 15 * time.Second,
		},
		Upstream: Upstream{
			Timeout: 5 * time.Second, ConnectTimeout: time.Second, Connections: 256, IdleTimeout: 30 * time.Second,
			ResponseLimit: 16 << 20, VanishGrace: 30 * time.Second,
		},
		Streams: Streams{Limit: 1024, Each: 32, IdleTimeout: 45 * time.Second, MaxTime: 10 * time.Minute},
	}
}

// maxTimeout keeps a mistyped unit from holding connections for hours.
const maxTimeout = 5 * time.Minute

// Validate returns every problem, each with the setting's path and what to change.
func (c *Config) Validate() error {
	p := &problems{}
	c.Listen.validate(p)
	c.Upstream.validate(p)
	c.Streams.validate(p)
	for i, o := range c.CORS.Origins {
		if !isOrigin(o) {
			p.add("cors.origins[%d]: %q is not an origin; write https://host or https://host:port", i, o)
		}
	}
	if len(c.Routes) == 0 {
		p.add("routes: name at least one; without any the gateway answers nothing but 404")
	}
	for i, r := range c.Routes {
		r.validate(p, fmt.Sprintf("routes[%d]", i), c.Listen.BodyLimit)
	}
	for i, a := range c.APIs {
		a.validate(p, fmt.Sprintf("apis[%d]", i))
	}
	if len(p.list) > 0 {
		return errors.Join(p.list...)
	}
	_, err := buildTable(c)
	return err
}

type problems struct{ list []error }

func (p *problems) add(format string, args ...any) {
	p.list = append(p.list, fmt.Errorf(format, args...))
}

func (p *problems) between(path string, v, low, high int) {
	if v < low || v > high {
		p.add("%s: %d is out of range; use %d to %d", path, v, low, high)
	}
}

func (p *problems) within(path string, v, low, high time.Duration) {
	if v < low || v > high {
		p.add("%s: %s is out of range; use %s to %s", path, v, low, high)
	}
}

func (p *problems) service(path, name string) {
	if err := discovery.CheckName(name); err != nil {
		p.add("%s: %w", path, err)
	} else if name == serviceName {
		p.add("%s: the gateway can't route to itself", path)
	}
}

func (l *Listen) validate(p *problems) {
	p.between("listen.body_limit", l.BodyLimit, 1<<10, 64<<20)
	p.between("listen.header_limit", l.HeaderLimit, 4<<10, 1<<20)
	p.between("listen.connections", l.Connections, 1, 1_000_000)
	p.between("listen.requests", l.Requests, 1, 1_000_000)
	p.within("listen.read_timeout", l.ReadTimeout, 100*time.Millisecond, maxTimeout)
	p.within("listen.write_timeout", l.WriteTimeout, 100*time.Millisecond, maxTimeout)
	p.within("listen.idle_timeout", l.IdleTimeout, time.Second, time.Hour)
	p.within("listen.drain_delay", l.DrainDelay, 10*time.Millisecond, time.Minute)
	p.within("listen.drain_timeout", l.DrainTimeout, l.DrainDelay, maxTimeout)
}

func (u *Upstream) validate(p *problems) {
	p.within("upstream.timeout", u.Timeout, 10*time.Millisecond, maxTimeout)
	p.within("upstream.connect_timeout", u.ConnectTimeout, 10*time.Millisecond, 30*time.Second)
	p.between("upstream.connections", u.Connections, 1, 100_000)
	p.within("upstream.idle_timeout", u.IdleTimeout, time.Second, time.Hour)
	p.between("upstream.response_limit", u.ResponseLimit, 1<<10, 256<<20)
	p.within("upstream.vanish_grace", u.VanishGrace, time.Second, time.Hour)
}

func (s *Streams) validate(p *problems) {
	p.between("streams.limit", s.Limit, 1, 100_000)
	p.between("streams.each", s.Each, 1, s.Limit)
	p.within("streams.idle_timeout", s.IdleTimeout, time.Second, 10*time.Minute)
	p.within("streams.max_time", s.MaxTime, time.Second, time.Hour)
}

// routable are the methods that a route may name.
var routable = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

func (r *Route) validate(p *problems, at string, bodyLimit int) {
	if err := checkPattern(r.Path); err != nil {
		p.add("%s.path: %q %w", at, r.Path, err)
	}
	if len(r.Methods) == 0 {
		p.add("%s.methods: name at least one of %s", at, strings.Join(routable, ", "))
	}
	for i, m := range r.Methods {
		if !slices.Contains(routable, m) {
			p.add("%s.methods: %q is unknown; use %s (HEAD and OPTIONS come by themselves)", at, m, strings.Join(routable, ", "))
		} else if slices.Contains(r.Methods[:i], m) {
			p.add("%s.methods: %s is there twice; remove one", at, m)
		}
	}
	p.service(at+".service", r.Service)
	r.validateAccess(p, at)
	if r.Stream && !slices.Contains(r.Methods, "GET") {
		p.add("%s.stream: only GET can be answered with a stream; remove it, or name GET in methods", at)
	}
	if r.Timeout != 0 {
		p.within(at+".timeout", r.Timeout, 10*time.Millisecond, maxTimeout)
	}
	if r.BodyLimit != 0 {
		p.between(at+".body_limit", r.BodyLimit, 1, bodyLimit)
	}
}

var apiName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

func (a *API) validate(p *problems, at string) {
	if !apiName.MatchString(a.Name) {
		p.add("%s.name: %q: use lower-case letters, digits and hyphens, at most 32", at, a.Name)
	}
	p.service(at+".service", a.Service)
	if err := checkPattern(a.Path); err != nil {
		p.add("%s.path: %q %w", at, a.Path, err)
	} else if strings.ContainsAny(a.Path, "{}") {
		p.add("%s.path: %q has a parameter; name one document", at, a.Path)
	} else if isInternal(a.Path) {
		p.add("%s.path: %s", at, internalPaths)
	}
}

// isOrigin: scheme, host and port, as browsers write the Origin header (RFC 6454).
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.Scheme+"://"+u.Host == s && s == strings.ToLower(s) && !strings.Contains(s, "*")
}
