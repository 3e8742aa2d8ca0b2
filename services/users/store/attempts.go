package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/users/app"
)

// Counters of failed logins, shared by all instances, by the database's clock. A crash of the database may lose the last
// half second of them (synchronous_commit), which spares every login the wait for the disk.

// The keys of an attempt's counters.
func accountKey(login []byte) []byte      { return keyOf("account", login, netip.Prefix{}) }
func addressKey(from netip.Prefix) []byte { return keyOf("address", nil, from) }
func knownKey(a app.Attempt) []byte       { return keyOf("known", a.Login, a.From) }

func keyOf(kind string, login []byte, from netip.Prefix) []byte {
	h := sha256.New()
	_, _ = h.Write([]byte(kind + "/" + from.String() + "/"))
	_, _ = h.Write(login)
	return h.Sum(nil)
}

// counter is one that an attempt counts in.
type counter struct {
	key    []byte
	login  []byte // nil for an address
	most   int    // failures before it locks
	window time.Duration
}

// countersOf an attempt: its own where the account knows the address, else those of the account and the address.
func countersOf(a app.Attempt, l app.Lockout) []counter {
	account := counter{key: accountKey(a.Login), login: a.Login, most: l.AccountFailures, window: l.AccountWindow}
	if a.Known {
		account.key = knownKey(a)
		return []counter{account}
	}
	if !a.From.IsValid() {
		return []counter{account}
	}
	return []counter{account, {key: addressKey(a.From), most: l.AddressFailures, window: l.AddressWindow}}
}

// Lock implements app.Store.
func (s *Store) Lock(ctx context.Context, a app.Attempt) (known bool, remaining time.Duration, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		var account, address, own float64
		err := q.QueryRow(ctx, `SELECT
				EXISTS (SELECT FROM known_addresses WHERE login = $1 AND address = $2 AND last_login_at > now() - make_interval(secs => $6)),
				`+remainingOf("$3")+", "+remainingOf("$4")+", "+remainingOf("$5"),
			a.Login, cidr(a.From), accountKey(a.Login), addressKey(a.From), knownKey(a), app.KnownFor.Seconds()).Scan(&known, &account, &address, &own)
		left := max(account, address)
		if known {
			left = own
		}
		remaining = time.Duration(left * float64(time.Second))
		return err
	})
	return known, remaining, err
}

func remainingOf(key string) string {
	return "coalesce((SELECT extract(epoch FROM locked_until - now())::float8 FROM attempts WHERE key = " + key + " AND locked_until > now()), 0)"
}

// count is one failure more, unless it is locked; then there is no row.
const count = `INSERT INTO attempts AS a (key, login, failures, began_at, last_at) VALUES ($1, $2, 1, now(), now())
	ON CONFLICT (key) DO UPDATE SET last_at = now(),
		failures = CASE WHEN a.began_at < now() - make_interval(secs => $4) THEN 1 ELSE a.failures + 1 END,
		began_at = CASE WHEN a.began_at < now() - make_interval(secs => $4) THEN now() ELSE a.began_at END,
		told = a.told AND a.began_at >= now() - make_interval(secs => $4),
		locked_until = CASE WHEN a.began_at >= now() - make_interval(secs => $4) AND a.failures + 1 >= $3
			THEN now() + make_interval(secs => least($6, $5 * power(2, least(a.failures + 1 - $3, 40)))) END
	WHERE a.locked_until IS NULL OR a.locked_until <= now()
	RETURNING failures`

// errLocked undoes what was counted beside the counter that is locked.
var errLocked = errors.New("locked")

// Take implements app.Store.
func (s *Store) Take(ctx context.Context, a app.Attempt, l app.Lockout) (time.Duration, error) {
	counters := countersOf(a, l)
	err := postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("SET LOCAL synchronous_commit = off")
		for _, c := range counters {
			batch.Queue(count, c.key, c.login, c.most, c.window.Seconds(), l.First.Seconds(), l.Longest.Seconds())
		}
		results := tx.SendBatch(ctx, batch)
		_, err := results.Exec()
		for range counters {
			if err != nil {
				break
			}
			var failures int
			if err = results.QueryRow().Scan(&failures); errors.Is(err, pgx.ErrNoRows) {
				err = errLocked
			}
		}
		return errors.Join(err, results.Close())
	})
	if !errors.Is(err, errLocked) {
		return 0, err
	}
	_, remaining, err := s.Lock(ctx, a)
	return max(remaining, time.Millisecond), err // it may have ended just now
}

// GiveBack implements app.Store.
func (s *Store) GiveBack(ctx context.Context, a app.Attempt, l app.Lockout) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		for _, c := range countersOf(a, l) {
			if _, err := tx.Exec(ctx, takeBack, c.key, c.most); err != nil {
				return err
			}
		}
		return nil
	})
}

// Succeed implements app.Store. The address only gets back what this attempt took: else an attacker's own account would
// pay for guesses at others'.
func (s *Store) Succeed(ctx context.Context, a app.Attempt, l app.Lockout, user uuid.UUID, verified, rehashed string) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("SET LOCAL synchronous_commit = off")
		if rehashed != "" {
			batch.Queue("UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2", user, verified, rehashed)
		}
		switch {
		case a.Known:
			batch.Queue("UPDATE known_addresses SET last_login_at = now() WHERE login = $1 AND address = $2 AND last_login_at < now() - interval '1 hour'",
				a.Login, cidr(a.From))
			batch.Queue("DELETE FROM attempts WHERE key = $1", knownKey(a))
		case a.From.IsValid():
			// Only for who is a user at this moment: an erasure leaves no address behind.
			batch.Queue(`INSERT INTO known_addresses (login, address, last_login_at) SELECT login, $2, now() FROM users WHERE login = $1 FOR KEY SHARE
				ON CONFLICT (login, address) DO UPDATE SET last_login_at = now()`, a.Login, cidr(a.From))
		}
		batch.Queue("DELETE FROM attempts WHERE key = $1", accountKey(a.Login))
		if !a.Known && a.From.IsValid() {
			batch.Queue(takeBack, addressKey(a.From), l.AddressFailures)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
}

// takeBack uncounts one failure; a lock that it began goes with it.
const takeBack = `UPDATE attempts SET failures = failures - 1, locked_until = CASE WHEN failures > $2 THEN locked_until END
	WHERE key = $1 AND failures > 0`

// cidr is how a query takes a network; null if there is none.
func cidr(from netip.Prefix) *netip.Prefix {
	if !from.IsValid() {
		return nil
	}
	return &from
}
