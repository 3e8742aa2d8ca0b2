package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/users/app"
)

const sessionColumns = "id, user_id, client_id, user_agent, address, scopes, created_at, last_used_at, expires_at, auth_time, browser"

// Sessions implements app.SessionStore.
func (s *Store) Sessions(ctx context.Context, user uuid.UUID) (sessions []app.Session, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, "SELECT "+sessionColumns+" FROM sessions WHERE user_id = $1 AND expires_at > now() ORDER BY id DESC", user)
		if err != nil {
			return err
		}
		sessions, err = pgx.CollectRows(rows, scanSession)
		return err
	})
	return sessions, err
}

// RevokeSession implements app.SessionStore.
func (s *Store) RevokeSession(ctx context.Context, user, session uuid.UUID, reason string) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		found, err := revokeSession(ctx, tx, user, session, reason)
		if err == nil && !found {
			err = app.ErrNoSession
		}
		return err
	})
}

// RevokeSessions implements app.SessionStore.
func (s *Store) RevokeSessions(ctx context.Context, user, except uuid.UUID, reason string) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error { return revokeSessions(ctx, tx, user, except, reason) })
}

// revokeSession ends one session with its tokens, and the login in the browser that it came from with what codes that
// gave: else the next visit of a shared computer's user would be logged in at once.
func revokeSession(ctx context.Context, tx pgx.Tx, user, session uuid.UUID, reason string) (found bool, err error) {
	var browser []byte
	err = tx.QueryRow(ctx, "DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING browser", session, user).Scan(&browser)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM browser_sessions WHERE hash = $1", browser); err != nil {
		return false, err
	}
	return true, addRevocation(ctx, tx, "session", session.String(), time.Now().Add(revocationLife), reason)
}

// revokeSessions ends all sessions of a user but one (Nil: all): refresh tokens, codes and logins in browsers are gone, and
// access tokens are refused as soon as verifiers have read it.
func revokeSessions(ctx context.Context, tx pgx.Tx, user, except uuid.UUID, reason string) error {
	rows, err := tx.Query(ctx, "DELETE FROM sessions WHERE user_id = $1 AND id <> $2 RETURNING id::text", user, except)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM browser_sessions WHERE user_id = $1", user); err != nil || len(ids) == 0 { // codes go with them
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO revocations (kind, id, before, expires, reason)
		SELECT 'session', id, $2, $2, $3 FROM unnest($1::text[]) AS id`, ids, time.Now().Add(revocationLife), reason)
	return err
}

// revokeTokensOf has a user's tokens refused that were issued before a moment.
func revokeTokensOf(ctx context.Context, tx pgx.Tx, user uuid.UUID, before time.Time) error {
	return addRevocation(ctx, tx, "subject", user.String(), before, "subject")
}

// forgetGrants deletes what a user has allowed clients; for erasure, after revokeSessions.
func forgetGrants(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	_, err := tx.Exec(ctx, "DELETE FROM consents WHERE user_id = $1", user)
	return err
}

// insertSession adds a session with its first refresh token, if it has one.
func insertSession(ctx context.Context, tx pgx.Tx, s app.Session, refresh []byte) error {
	_, err := tx.Exec(ctx, "INSERT INTO sessions ("+sessionColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
		s.ID, s.UserID, s.ClientID, s.UserAgent, s.Address, s.Scopes, s.CreatedAt, s.LastUsedAt, s.ExpiresAt, s.AuthTime, s.Browser)
	if err != nil || refresh == nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES ($1, $2, $3)", refresh, s.ID, s.ExpiresAt)
	return err
}

// scanSession reads the columns.
func scanSession(row pgx.CollectableRow) (s app.Session, err error) {
	err = row.Scan(&s.ID, &s.UserID, &s.ClientID, &s.UserAgent, &s.Address, &s.Scopes, &s.CreatedAt, &s.LastUsedAt, &s.ExpiresAt, &s.AuthTime, &s.Browser)
	s.CreatedAt, s.LastUsedAt, s.ExpiresAt, s.AuthTime = s.CreatedAt.UTC(), s.LastUsedAt.UTC(), s.ExpiresAt.UTC(), s.AuthTime.UTC()
	return s, err
}
