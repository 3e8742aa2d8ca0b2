package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/logs"
	"souk/internal/postgres"
	"souk/services/users/app"
)

const (
	announceEvery = time.Second
	// announceAfter: by then the attempt that began a lock has either succeeded, which ended it, or failed.
	announceAfter = 5 * time.Second
	// mailAgainAfter bounds what an attacker can have sent to a user.
	mailAgainAfter = 24 * time.Hour
)

// AnnounceLocks tells users of locks on their accounts, by a mail and an event each, until ctx ends. It is not done while
// somebody tries to log in: the time that takes would tell whether there is an account.
func (s *Store) AnnounceLocks(ctx context.Context) {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.announceLocks(ctx, announceAfter); err != nil && ctx.Err() == nil {
			s.log.Warn("users are told of locks later", logs.Err(err))
		}
	}
}

// untold are locks that may have to be told of, since $1 seconds.
const untold = "locked_until IS NOT NULL AND login IS NOT NULL AND NOT told AND last_at < now() - make_interval(secs => $1)"

func (s *Store) announceLocks(ctx context.Context, after time.Duration) error {
	var logins [][]byte
	err := postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE attempts SET told = true WHERE key IN (SELECT key FROM attempts a WHERE `+untold+`
			AND NOT EXISTS (SELECT FROM users u WHERE u.login = a.login) LIMIT 1000 FOR UPDATE SKIP LOCKED)`, after.Seconds())
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "SELECT DISTINCT login FROM attempts WHERE "+untold+" LIMIT 100", after.Seconds())
		if err != nil {
			return err
		}
		logins, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
		return err
	})
	for _, login := range logins {
		if err == nil {
			err = s.announceLock(ctx, login, after)
		}
	}
	return err
}

// announceLock tells one user, unless another instance does or it was told lately.
func (s *Store) announceLock(ctx context.Context, login []byte, after time.Duration) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		var (
			user    uuid.UUID
			version int64
			again   bool
		)
		rows, err := tx.Query(ctx, "SELECT id, version, lock_told_at IS NULL OR lock_told_at < now() - make_interval(secs => $2) FROM users WHERE login = $1 FOR UPDATE",
			login, mailAgainAfter.Seconds())
		if err != nil {
			return err
		}
		found := false
		_, err = pgx.ForEachRow(rows, []any{&user, &version, &again}, func() error {
			found = true
			return nil
		})
		if err != nil {
			return err
		}
		var until *time.Time
		err = tx.QueryRow(ctx, "WITH now_told AS (UPDATE attempts SET told = true WHERE login = $2 AND "+untold+" RETURNING locked_until) SELECT max(locked_until) FROM now_told",
			after.Seconds(), login).Scan(&until)
		if err != nil || until == nil || !found || !again {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE users SET lock_told_at = now() WHERE id = $1", user); err != nil {
			return err
		}
		if err := appendEvent(ctx, tx, app.Locked, user, version, app.LockedData{UserID: user, Until: until.UTC()}); err != nil {
			return err
		}
		return storeMail(ctx, tx, app.MailAccountLocked, login, &user)
	})
}
