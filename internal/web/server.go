package web

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"souk/internal/metrics"
)

// Server answers HTTP/1.1 requests with Fiber's routes.
type Server struct {
	opts    Options
	app     *fiber.App
	router  fasthttp.RequestHandler // Fiber's own
	metrics *metrics.HTTPServer     // nil: none

	// base is the parent of every request's context; cut ends it when a drain
	// takes too long.
	base     context.Context
	cut      context.CancelCauseFunc
	active   atomic.Int64
	draining atomic.Bool
	conns    connections
	streams  streams
	logged   map[string]bool // query parameters whose values may be logged
}

// New makes a server. Register routes on App, then call Serve once.
func New(opts Options) *Server {
	s := &Server{opts: opts.withDefaults(), logged: map[string]bool{}}
	for _, name := range opts.LoggedQuery {
		s.logged[name] = true
	}
	if opts.Metrics != nil {
		s.metrics = metrics.NewHTTPServer(opts.Metrics)
	}
	s.base, s.cut = context.WithCancelCause(context.Background())
	s.app = fiber.New(fiber.Config{
		AppName:       s.opts.Service,
		CaseSensitive: true,
		StrictRouting: true,
		// Fiber's strings are views of buffers that the next request overwrites;
		// Immutable makes them copies, so that a handler may keep them.
		Immutable:    true,
		ErrorHandler: s.failed,
		BodyLimit:    s.opts.BodyLimit,
		// fasthttp refuses a header block that does not fit this buffer.
		ReadBufferSize: s.opts.HeaderLimit,
		ReadTimeout:    s.opts.ReadTimeout,
		IdleTimeout:    s.opts.IdleTimeout,
		// One more than conns admits, so that fasthttp's own plain-text refusal is never sent.
		Concurrency:                  s.opts.MaxConnections + 1,
		ReduceMemoryUsage:            s.opts.ReduceMemory,
		DisableDefaultContentType:    true,
		DisablePreParseMultipartForm: true,
		DisableStartupMessage:        true,
		// Without this Fiber's c.Hostname and c.Protocol believe X-Forwarded-*.
		EnableTrustedProxyCheck: true,
		JSONEncoder:             func(v any) ([]byte, error) { return json.Marshal(v) },
		JSONDecoder:             func(data []byte, v any) error { return json.Unmarshal(data, v, strict) },
	})
	fasthttp.SetBodySizePoolLimit(keptBuffer, keptBuffer) // of the whole process
	s.app.Use(s.route)
	s.router = s.app.Handler()
	http := s.app.Server()
	http.Handler = s.handle
	http.ErrorHandler = s.malformed
	http.Logger = connectionLog{s.opts.Log}
	http.SecureErrorLogMessage = true
	http.NoDefaultServerHeader = true
	http.ConnState = s.conns.state
	http.HeaderReceived = s.bodyLimit
	// Also how long one goroutine of fasthttp outlives Serve.
	http.MaxIdleWorkerDuration = 2 * time.Second
	return s
}

// keptBuffer is the size up to which fasthttp keeps the buffers of bodies: each
// connection has its own, and one large body would stay with it to its end.
const keptBuffer = 64 << 10

// bodyFloor is a body's size that is never refused for lack of memory.
const bodyFloor = 64 << 10

// bodyLimit shares BodyMemory among the requests under way: fasthttp makes room
// for a whole body as soon as its header has come, so a few hundred clients that
// promise a large body could take all memory without sending it.
func (s *Server) bodyLimit(*fasthttp.RequestHeader) fasthttp.RequestConfig {
	return fasthttp.RequestConfig{MaxRequestBodySize: s.bodyShare()}
}

func (s *Server) bodyShare() int {
	share := s.opts.BodyMemory / int(max(1, s.conns.busy.Load()-s.streams.count.Load())) // a stream has no body to come
	return min(max(share, bodyFloor), s.opts.BodyLimit)
}

// App is where routes are registered. Its Listen functions must not be used:
// they know nothing of draining. App().Test goes through everything but the
// connection handling.
func (s *Server) App() *fiber.App { return s.app }
