package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
)

// tidied are rows that nothing asks for any more.
var tidied = [...]string{
	"revocations WHERE ctid = ANY(ARRAY(SELECT ctid FROM revocations WHERE expires < now() LIMIT 1000))",
	"refresh_tokens WHERE hash = ANY(ARRAY(SELECT hash FROM refresh_tokens WHERE expires_at < now() LIMIT 1000))",
	"sessions WHERE id = ANY(ARRAY(SELECT id FROM sessions WHERE expires_at < now() LIMIT 1000))",
	"authorization_codes WHERE hash = ANY(ARRAY(SELECT hash FROM authorization_codes WHERE expires_at < now() - interval '1 day' LIMIT 1000))",
	"browser_sessions WHERE hash = ANY(ARRAY(SELECT hash FROM browser_sessions WHERE expires_at < now() LIMIT 1000))",
}

// tidySessions deletes some of what has expired, and says how much; 0 when nothing is left to delete.
func (s *Store) tidySessions(ctx context.Context) (deleted int64, err error) {
	for _, rows := range tidied {
		err := postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, "DELETE FROM "+rows)
			deleted += tag.RowsAffected()
			return err
		})
		if err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}
