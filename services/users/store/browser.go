package store

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/users/app"
)

// OpenBrowser keeps the login of a user who is still as in that version; else app.ErrUserChanged. It takes the place of the
// login that the browser had before, nil for none: sessions that came from that one, if it was the same user's, end the new one.
func (s *Store) OpenBrowser(ctx context.Context, b app.Browser, version int64, before []byte) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := unchanged(ctx, tx, b.UserID, version); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO browser_sessions (hash, user_id, auth_time, expires_at) VALUES ($1, $2, $3, $4)", b.Hash, b.UserID, b.AuthTime, b.ExpiresAt)
		if err != nil || before == nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE sessions SET browser = $1 WHERE browser = $2 AND user_id = $3", b.Hash, before, b.UserID); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM browser_sessions WHERE hash = $1", before)
		return err
	})
}

// Browser finds a login by the hash of its cookie; app.ErrNoGrant if there is none any more.
func (s *Store) Browser(ctx context.Context, hash []byte) (b app.Browser, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		b = app.Browser{Hash: hash}
		err := q.QueryRow(ctx, "SELECT user_id, auth_time, expires_at FROM browser_sessions WHERE hash = $1 AND expires_at > now()", hash).
			Scan(&b.UserID, &b.AuthTime, &b.ExpiresAt)
		if errors.Is(err, pgx.ErrNoRows) {
			return app.ErrNoGrant
		}
		return err
	})
	return b, err
}

// Consented tells whether a user has allowed a client all these scopes.
func (s *Store) Consented(ctx context.Context, user uuid.UUID, client string, scopes []string) (ok bool, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		return q.QueryRow(ctx, "SELECT EXISTS (SELECT FROM consents WHERE user_id = $1 AND client_id = $2 AND scopes @> $3)", user, client, scopes).Scan(&ok)
	})
	return ok, err
}

// Consent remembers that a user allows a client these scopes, beside those allowed before, if the login in the browser is
// still good; else app.ErrNoGrant.
func (s *Store) Consent(ctx context.Context, b app.Browser, client string, scopes []string) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO consents (user_id, client_id, scopes)
			SELECT user_id, $2, $3 FROM browser_sessions WHERE hash = $1 AND expires_at > now() FOR KEY SHARE
			ON CONFLICT (user_id, client_id) DO UPDATE SET granted_at = now(),
				scopes = ARRAY(SELECT DISTINCT unnest(consents.scopes || excluded.scopes))`, b.Hash, client, scopes)
		if err == nil && tag.RowsAffected() == 0 {
			err = app.ErrNoGrant
		}
		return err
	})
}
