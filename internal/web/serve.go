package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"souk/internal/logs"
)

// errStopped is why a request's context ends when a drain takes too long.
var errStopped = errors.New("the server stopped waiting for this request")

// Serve answers requests from ln until ctx ends. Then
//
//  1. for DrainDelay everything goes on, but each answer says "Connection: close",
//     so that clients leave of their own accord;
//  2. the listener closes, streams end, and connections that were idle for DrainDelay;
//  3. requests in flight are awaited until DrainTimeout has passed since ctx
//     ended; what still runs then has its context cancelled and is cut off.
//
// So a client that uses its connection at least once every DrainDelay loses no
// request; one that sends after a longer pause, just as the connection ends, gets no
// answer, which HTTP/1.1 can't avoid (RFC 9112, section 9.5).
//
// The caller should leave service discovery before it ends ctx. Serve returns nil
// after a drain, however it went, and the listener's error if that broke. ln is
// closed in any case. It may hand out *tls.Conn (tls.NewListener). Call it once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.app.Handler() // builds the tree of routes that were registered since New
	s.conns.change = s.connectionChange
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watchdog(watching)
	}()
	defer func() {
		stop()
		<-watched
	}()

	served := make(chan error, 1)
	go func() { served <- s.app.Server().Serve(&listener{Listener: ln, server: s}) }()
	var broken error
	select {
	case <-ctx.Done():
	case broken = <-served:
		served <- nil
	}
	ended := time.Now()
	s.draining.Store(true)
	if broken == nil {
		sleep(served, s.opts.DrainDelay)
	}
	s.streams.drain()
	_ = ln.Close() // its error would say that it is closed already
	if err := <-served; err != nil && broken == nil {
		broken = err
	}
	s.drain(ended.Add(s.opts.DrainTimeout))
	if broken != nil && ctx.Err() == nil {
		return fmt.Errorf("serve %s: %w", ln.Addr(), broken)
	}
	return nil
}

// sleep waits, but no longer than the listener lives.
func sleep(served chan error, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case err := <-served:
		served <- err
	}
}

func (s *Server) connectionChange(delta int) {
	if s.metrics != nil {
		s.metrics.Connection(delta)
	}
}

func (s *Server) refusedConnection() {
	if s.metrics != nil {
		s.metrics.Refused("too-many-connections")
	}
	s.opts.Log.Debug("a connection was refused: too many are open")
}

// connectionLog is fasthttp's logger. It hears of every connection that broke.
// Malformed requests are in the access log already, and their texts may quote
// secrets; what is left are failed TLS handshakes.
type connectionLog struct{ log *slog.Logger }

// Printf implements fasthttp.Logger.
func (l connectionLog) Printf(_ string, args ...any) {
	if len(args) == 0 {
		return
	}
	err, ok := args[len(args)-1].(error)
	if ok && (strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "x509: ")) {
		attrs := []any{logs.Err(err)}
		if addr, ok := args[max(0, len(args)-2)].(net.Addr); ok {
			attrs = append(attrs, slog.String("client.address", addr.String()))
		}
		l.log.Info("TLS handshake failed", attrs...)
	}
}
