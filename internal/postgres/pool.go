// Package postgres is a connection pool whose credentials change under it, and
// what every service does with one: transactions that are tried again when that
// is safe, migrations, idempotency keys, one leader among the instances.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"

	"souk/internal/identity"
)

// Options tune a pool; each zero value stands for the default named here.
type Options struct {
	Log         *slog.Logger
	Application string // as pg_stat_activity shows it; the database's name

	MaxConns          int32         // 10
	ConnectTimeout    time.Duration // 5 s
	StatementTimeout  time.Duration // 5 s for one statement; not for migrations
	LockTimeout       time.Duration // 2 s for one lock
	IdleInTransaction time.Duration // 10 s between two statements of a transaction
	Drain             time.Duration // 30 s for what runs under old credentials; never past their end
	Patience          time.Duration // 2 s that Tx and Read try on without a working connection
}

func (o Options) complete(database string) Options {
	orDefault(&o.Application, database)
	orDefault(&o.MaxConns, 10)
	orDefault(&o.ConnectTimeout, 5*time.Second)
	orDefault(&o.StatementTimeout, 5*time.Second)
	orDefault(&o.LockTimeout, 2*time.Second)
	orDefault(&o.IdleInTransaction, 10*time.Second)
	orDefault(&o.Drain, 30*time.Second)
	orDefault(&o.Patience, 2*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault[T comparable](v *T, value T) {
	if zero := *new(T); *v == zero {
		*v = value
	}
}

// Pool is a pgxpool that new credentials don't disturb. What is running when
// they come finishes on its old connection; whatever starts later uses the new
// ones. Prefer Tx and Read to the pool's own methods: those return an error
// where these try again.
type Pool struct {
	*pgxpool.Pool
	opts   Options
	creds  *identity.Credentials
	addr   func() string
	config *pgxpool.Config

	active    atomic.Pointer[identity.Lease] // what new connections log in with
	changed   chan struct{}                  // there may be a newer lease than active
	sessions  sessions
	migrating atomic.Int32
	rotations atomic.Uint64

	background context.Context // ends with Close
	stop       context.CancelFunc
	running    sync.WaitGroup
}

// Open connects to a database, trying until ctx ends, and follows creds until
// Close; ctx bounds the opening only. addr is asked for host:port before every
// connection, so that a server may move; "" means that none is known.
func Open(ctx context.Context, creds *identity.Credentials, addr func() string, database string, opts Options) (*Pool, error) {
	p := &Pool{opts: opts.complete(database), creds: creds, addr: addr, changed: make(chan struct{}, 1)}
	p.sessions.refused = func(user string) {
		if l := creds.Current(); l.Username == user {
			creds.Suspect(l)
		}
	}
	var err error
	// No host, user or password: those are filled in for each connection.
	if p.config, err = pgxpool.ParseConfig("host=unknown sslmode=disable"); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	c := p.config.ConnConfig
	c.Database, c.ConnectTimeout, c.Tracer, c.Fallbacks = database, p.opts.ConnectTimeout, &p.sessions, nil
	maps.Copy(c.RuntimeParams, map[string]string{
		"application_name":                    p.opts.Application,
		"statement_timeout":                   milliseconds(p.opts.StatementTimeout),
		"lock_timeout":                        milliseconds(p.opts.LockTimeout),
		"idle_in_transaction_session_timeout": milliseconds(p.opts.IdleInTransaction),
		// A statement whose client gave up must not hold its locks to the end of statement_timeout.
		"client_connection_check_interval": "1s",
		"timezone":                         "UTC",
		// Statements here are short and find their rows by an index. A plan is made once for a connection, and by statistics
		// of a table that was empty then it would be a scan of all that has come since: of an outbox, or of keys that ran out.
		"plan_cache_mode": "force_generic_plan",
		"enable_seqscan":  "off",
		"jit":             "off",
	})
	p.config.MaxConns = p.opts.MaxConns
	p.config.MaxConnIdleTime = 5 * time.Minute
	p.config.PingTimeout = p.opts.ConnectTimeout
	p.config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { return p.target(c, *p.active.Load()) }
	// UUIDs go as 16 bytes; without it, as text by way of database/sql's interface.
	p.config.AfterConnect = func(_ context.Context, c *pgx.Conn) error { pgxuuid.Register(c.TypeMap()); return nil }
	p.config.BeforeClose = func(c *pgx.Conn) { p.sessions.ended(c.Config().User) }

	p.background, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	creds.OnChange(func(identity.Lease) { p.nudge() })
	if err := p.firstLease(ctx); err != nil {
		p.stop()
		return nil, err
	}
	if p.Pool, err = pgxpool.NewWithConfig(p.background, p.config); err != nil {
		p.stop()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	p.nudge() // one that came while we opened
	p.running.Go(p.follow)
	return p, nil
}

var errNoAddress = errors.New("no address of PostgreSQL is known")

// target sends a connection to where the server is now, as the lease's user.
func (p *Pool) target(c *pgx.ConnConfig, l identity.Lease) error {
	host, port, err := net.SplitHostPort(p.addr())
	n, notNumber := strconv.ParseUint(port, 10, 16)
	if err != nil || notNumber != nil {
		return fmt.Errorf("%w (have %q)", errNoAddress, p.addr())
	}
	c.Host, c.Port, c.User, c.Password = host, uint16(n), l.Username, l.Password()
	return nil
}

// Ready is nil if the database answers within a second.
func (p *Pool) Ready() error {
	ctx, cancel := context.WithTimeout(p.background, time.Second)
	defer cancel()
	if err := p.Ping(ctx); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// Close ends the pool when what it runs has finished or ctx ends. The credentials
// go with the identity's Close, and with them any session that is still at work.
func (p *Pool) Close(ctx context.Context) error {
	p.stop()
	closed := make(chan struct{})
	go func() { // ends when the last connection is given back
		p.Pool.Close()
		close(closed)
	}()
	var err error
	select {
	case <-closed:
	case <-ctx.Done():
		err = fmt.Errorf("postgres: connections still in use: %w", ctx.Err())
	}
	p.running.Wait()
	return err
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
