package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"souk/internal/errs"
	"souk/internal/logs"
	"souk/services/users/app"
)

// tellOfReuse stores the event that a refresh token was reused and its session revoked.
func (s *Store) tellOfReuse(ctx context.Context, tx pgx.Tx, r app.ReuseData) error {
	s.log.WarnContext(ctx, "a refresh token was reused; its session is revoked", "session", r.SessionID, "client", r.ClientID)
	var version int64
	if err := tx.QueryRow(ctx, "SELECT version FROM users WHERE id = $1", r.UserID).Scan(&version); err != nil {
		return err
	}
	err := appendEvent(ctx, tx, app.ReuseDetected, r.UserID, version, r)
	if errs.CodeOf(err) == "events-backlog" { // the theft must not outlive Kafka's absence
		s.log.ErrorContext(ctx, "the event of a reused refresh token is lost", logs.Err(err))
		return nil
	}
	return err
}
