// Package web is the HTTP server of every Souk program: Fiber with limits,
// problem details (RFC 9457), request ids, W3C trace context, an access log,
// metrics, strict readers for bodies and queries, and an end without lost requests.
package web

import (
	"log/slog"
	"time"

	"souk/internal/metrics"
)

// Options decide what a server accepts. A zero field means its default.
type Options struct {
	Service string            // its name in logs; required
	Log     *slog.Logger      // default: slog.Default
	Metrics *metrics.Registry // nil: none are kept
	_       struct{}          // name the fields

	BodyLimit   int // bytes of a request's body, else 413; default 1 MiB
	BodyMemory  int // bytes that all bodies under way should stay within, else 503; default 16 MiB
	HeaderLimit int // bytes of the request line and all headers, else 431; default 16 KiB
	URLLimit    int // bytes of the request target, else 414; default half of HeaderLimit

	ReadTimeout    time.Duration // to read one whole request, else 408; default 10 s
	WriteTimeout   time.Duration // without the client taking a single byte; default 10 s
	IdleTimeout    time.Duration // between requests of a connection; default 60 s
	RequestTimeout time.Duration // until Context ends; default 5 s

	Concurrency    int // requests answered at once, else 503; default 512
	MaxConnections int // open connections, else closed at once; default 4096

	DrainDelay   time.Duration // how long new connections and idle ones are still served after the end; default 1 s
	DrainTimeout time.Duration // how long in-flight requests may take after the end, delay included; default 15 s

	Streams    int           // open ones (SendStream), else 503; they do not count in Concurrency; default 1024
	StreamTime time.Duration // how long one may last; default 10 min
	Heartbeat  time.Duration // of a silent SendEvents; default 15 s

	// TrustForwarded believes X-Forwarded-For, -Proto and -Host, because only our
	// own gateway or load balancer can reach the port and sets them itself.
	TrustForwarded bool
	// ReduceMemory gives the buffers of idle connections back: for the edge,
	// where most connections are idle. It costs one more read a request.
	ReduceMemory bool
	// LoggedQuery are the query parameters whose values may be logged.
	LoggedQuery []string
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	def(&o.BodyLimit, 1<<20)
	def(&o.BodyMemory, 16<<20)
	def(&o.HeaderLimit, 16<<10)
	def(&o.URLLimit, o.HeaderLimit/2)
	def(&o.ReadTimeout, 10*time.Second)
	def(&o.WriteTimeout, 10*time.Second)
	def(&o.IdleTimeout, time.Minute)
	def(&o.RequestTimeout, 5*time.Second)
	def(&o.Concurrency, 512)
	def(&o.MaxConnections, 4096)
	def(&o.Streams, 1024)
	def(&o.StreamTime, 10*time.Minute)
	def(&o.Heartbeat, 15*time.Second)
	def(&o.DrainDelay, time.Second)
	def(&o.DrainTimeout, 15*time.Second)
	return o
}

func def[T ~int | ~int64](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
