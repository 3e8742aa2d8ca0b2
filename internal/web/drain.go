package web

import (
	"log/slog"
	"time"
)

// drainEvery is how often a drain looks again.
const drainEvery = 20 * time.Millisecond

// drain returns when no connection is open any more, at the latest a little after
// the deadline.
func (s *Server) drain(deadline time.Time) {
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	interrupt := func(c *conn) { c.interrupt(s.opts.DrainDelay) }
	for s.conns.count() > 0 && time.Now().Before(deadline) {
		s.conns.each(interrupt)
		<-tick.C
	}
	left := s.conns.count()
	if left == 0 {
		s.cut(nil)
		return
	}
	s.opts.Log.Warn("requests were still in flight at the end of the drain",
		slog.Int("connections", left), slog.Duration("after", s.opts.DrainTimeout))
	// Handlers that listen to their context get a moment to answer 503.
	s.cut(errStopped)
	for end := time.Now().Add(time.Second); s.conns.count() > 0 && time.Now().Before(end); <-tick.C {
		s.conns.each(interrupt)
	}
	s.conns.each((*conn).abort)
}

// drainStep is how far the drain has come with an idle connection.
type drainStep uint8

const (
	undisturbed drainStep = iota
	interrupted           // its read deadline has passed
	leaving               // its goroutine has noticed, and is left alone from here
)

// leave reports whether it was the drain that ended a read.
func (c *conn) leave() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.drain
	if was == interrupted {
		c.drain = leaving
	}
	return was == interrupted
}

// lastRead returns a request that has reached this machine by now, which is then
// answered with "Connection: close". If there is none our side of the connection
// ends right here, as what comes after this can't be answered any more. A deadline
// that has passed hides what the kernel holds, therefore it is asked.
func (c *conn) lastRead(p []byte, timeout error) (int, error) {
	if !pending(c.Conn) {
		c.endOurSide()
		return 0, timeout
	}
	if err := c.SetReadDeadline(time.Now().Add(lastLook)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// interrupt wakes a connection that has waited for a request for a while, so that
// its goroutine closes it. One whose last answer went out just now, perhaps prepared
// before the drain and so without "Connection: close", gets its time to be used once
// more, too. A request that has begun is left alone: its first byte made the
// connection busy before fasthttp set the deadline that undoes ours.
func (c *conn) interrupt(patience time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.wrote.Load() {
		patience = newGrace
	}
	if c.idle && time.Since(c.since) >= patience && c.drain != leaving {
		c.drain = interrupted
		_ = c.SetReadDeadline(time.Unix(1, 0)) // a closed connection needs no waking
	}
}
