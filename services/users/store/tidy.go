package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/logs"
	"souk/internal/postgres"
	"souk/services/users/app"
)

// tidyEvery is how often what has run out is deleted.
const tidyEvery = 10 * time.Minute

// Tidy deletes what is not needed any more, now and then, until ctx ends. Any instance may do it at any time.
func (s *Store) Tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		deleted, err := s.tidy(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("what has run out stays for now", logs.Err(err))
		case deleted > 0:
			continue // there may be more
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tidy deletes some of all that has run out, and says how much; 0 when nothing is left to delete.
func (s *Store) tidy(ctx context.Context) (deleted int64, err error) {
	for _, part := range []func(context.Context) (int64, error){s.tidyAccounts, s.tidySessions, s.tidyKeys} {
		n, err := part(ctx)
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

func (s *Store) tidyKeys(ctx context.Context) (int64, error) {
	return postgres.ForgetIdempotencyKeys(ctx, s.pool)
}

func (s *Store) tidyAccounts(ctx context.Context) (deleted int64, err error) {
	for _, run := range []struct {
		table, key, where string
		args              []any
	}{
		{table: "registrations", key: "id", where: "expires_at < now()"},
		{table: "mails", key: "id", where: "expires_at < now()"}, // links go with them
		{table: "attempts", key: "key", where: "last_at < now() - make_interval(secs => $1) AND coalesce(locked_until < now(), true)",
			args: []any{app.DefaultLockout().AccountWindow.Seconds()}},
		{table: "known_addresses", key: "ctid", where: "last_login_at < now() - make_interval(secs => $1)", args: []any{app.KnownFor.Seconds()}},
	} {
		err := postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, "DELETE FROM "+run.table+" WHERE "+run.key+" IN (SELECT "+run.key+" FROM "+run.table+" WHERE "+run.where+" LIMIT 1000 FOR UPDATE SKIP LOCKED)", run.args...)
			deleted += tag.RowsAffected()
			return err
		})
		if err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}
