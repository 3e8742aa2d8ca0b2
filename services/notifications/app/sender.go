package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/logs"
)

// Settings of a Sender; they are asked for on each use.
type Settings struct {
	Poll    time.Duration // between looks at an empty queue
	First   time.Duration // until the first retry; each later one waits twice as long
	Longest time.Duration // but no longer than this
	GiveUp  time.Duration // after the first failed attempt
}

// Names of circuits.
const (
	usersServer = "users"
	mailServer  = "mail"
)

const (
	// claimLease covers what comes before the handing over: connecting, and asking users.
	claimLease = 2 * time.Minute
	// circuitPause is how long a server that is down has its peace.
	circuitPause = 10 * time.Second
	// lastWords is how long what is being handed over may still take when the sender is stopped.
	lastWords  = 7 * time.Second
	depthEvery = 5 * time.Second
)

// Sender sends what is queued. Any number of them may run, in any number of instances.
type Sender struct {
	store    Store
	users    Users
	post     Post
	settings func() Settings
	log      *slog.Logger
	metrics  metrics

	asking  circuit // of users
	posting circuit // of the mail server
}

// NewSender makes one; Run starts it.
func NewSender(store Store, users Users, post Post, settings func() Settings, log *slog.Logger) *Sender {
	s := &Sender{store: store, users: users, post: post, settings: settings, log: log, metrics: newMetrics()}
	s.asking = newCircuit(usersServer, circuitPause, s.switched)
	s.posting = newCircuit(mailServer, circuitPause, s.switched)
	return s
}

// Metrics of the queue and of what became of mails.
func (s *Sender) Metrics() []prometheus.Collector { return s.metrics.all() }

// switched is told when a circuit opens or closes.
func (s *Sender) switched(name string, open bool) {
	s.metrics.circuit(name, open)
	if open {
		s.log.Warn("a server is down, mails wait", "event.action", "circuit-open", "service.target.name", name)
		return
	}
	s.log.Info("a server answers again", "event.action", "circuit-closed", "service.target.name", name)
}

// Run sends, workers mails at a time, until ctx ends and those at work are done or put back.
func (s *Sender) Run(ctx context.Context, workers int) {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { s.work(ctx) })
	}
	wg.Go(func() { s.watchDepth(ctx) })
	wg.Wait()
}

// claimMost is how many mails a worker claims at once: what one asking of users is worth, and its lease lasts for.
const claimMost = 100

// work sends what is due, over one session as long as there are mails.
func (s *Sender) work(ctx context.Context) {
	w := worker{Sender: s}
	defer w.close()
	for ctx.Err() == nil {
		if s.asking.open() || s.posting.open() {
			w.close()
			pause(ctx, s.settings().Poll)
			continue
		}
		claims, err := s.store.Claim(ctx, claimLease, claimMost)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("the queue can't be read at the moment", logs.Err(err))
		}
		if len(claims) == 0 {
			w.close()
		}
		w.deliver(ctx, claims)
		if len(claims) < claimMost { // some more make another batch
			pause(ctx, s.settings().Poll)
		}
	}
}

func (s *Sender) watchDepth(ctx context.Context) {
	for ctx.Err() == nil {
		if queued, oldest, err := s.store.Depth(ctx); err == nil {
			s.metrics.depth.Set(float64(queued))
			s.metrics.oldest.Set(oldest.Seconds())
		} else if ctx.Err() == nil {
			s.log.Debug("the queue's depth is not known", logs.Err(err))
		}
		pause(ctx, depthEvery)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// failureOf is why an attempt failed. What is no *Failure is our own trouble, such as a database that is away: the
// mail is as good as untouched.
func failureOf(err error) *Failure {
	failure := (*Failure)(nil)
	if errors.As(err, &failure) {
		return failure
	}
	return &Failure{Reason: "interrupted", Said: err.Error(), Waits: true}
}
