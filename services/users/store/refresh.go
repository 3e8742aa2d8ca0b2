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

// A session's refresh tokens are a tree. A token that is used gets a successor. Used again within the grace, while no
// successor was used, it gets another one: the answer may have been lost. Everything else is a reuse: somebody has a token
// that somebody else has used, and nobody can tell which of them is the thief (RFC 9700, section 4.14.2).
const refreshState = `SELECT
		t.expires_at > clock_timestamp(),
		coalesce(t.used_at < clock_timestamp() - make_interval(secs => $2), false)
			OR EXISTS (SELECT FROM refresh_tokens c WHERE c.parent = t.hash AND c.used_at IS NOT NULL)
			OR EXISTS (SELECT FROM refresh_tokens s WHERE s.parent = t.parent AND s.hash <> t.hash AND s.used_at IS NOT NULL)
	FROM refresh_tokens t WHERE t.hash = $1`

// Refresh finds a refresh token with its session; app.ErrNoGrant if it is unknown, expired or revoked.
func (s *Store) Refresh(ctx context.Context, hash []byte) (r app.Refresh, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		r = app.Refresh{Hash: hash}
		live := false
		err := q.QueryRow(ctx, refreshState, hash, app.RefreshGrace.Seconds()).Scan(&live, &r.Reused)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && !live {
			return app.ErrNoGrant
		}
		if err != nil {
			return err
		}
		rows, err := q.Query(ctx, "SELECT "+sessionColumns+" FROM sessions WHERE id = (SELECT session_id FROM refresh_tokens WHERE hash = $1) AND expires_at > now()", hash)
		if err != nil {
			return err
		}
		r.Session, err = pgx.CollectExactlyOneRow(rows, scanSession)
		if errors.Is(err, pgx.ErrNoRows) {
			return app.ErrNoGrant
		}
		return err
	})
	return r, err
}

// Rotate exchanges a refresh token for its successor, which lives as long as the session then does. The user must be as
// in that version (app.ErrUserChanged). A reused token is app.ErrReused: the session is revoked, and the event stored.
func (s *Store) Rotate(ctx context.Context, r app.Refresh, version int64, successor []byte) error {
	reused := false
	err := postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		reused = false
		user, session := r.Session.UserID, r.Session.ID
		if err := unchanged(ctx, tx, user, version); err != nil {
			return err
		}
		// Refreshes and whatever ends the session go one after the other from here on.
		var created, now time.Time
		err := tx.QueryRow(ctx, "SELECT created_at, clock_timestamp() FROM sessions WHERE id = $1 AND expires_at > now() FOR UPDATE", session).Scan(&created, &now)
		if errors.Is(err, pgx.ErrNoRows) {
			return app.ErrNoGrant
		}
		if err != nil {
			return err
		}
		live := false
		err = tx.QueryRow(ctx, refreshState, r.Hash, app.RefreshGrace.Seconds()).Scan(&live, &reused)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && !live {
			return app.ErrNoGrant
		}
		if err != nil {
			return err
		}
		if reused {
			return s.revokeReused(ctx, tx, user, session, r.Session.ClientID)
		}
		extended := app.Session{CreatedAt: created}
		extended.Extend(now)
		return rotate(ctx, tx, r.Hash, successor, session, extended)
	})
	if err == nil && reused {
		err = app.ErrReused
	}
	return err
}

func rotate(ctx context.Context, tx pgx.Tx, hash, successor []byte, session uuid.UUID, extended app.Session) error {
	if _, err := tx.Exec(ctx, "UPDATE refresh_tokens SET used_at = coalesce(used_at, clock_timestamp()) WHERE hash = $1", hash); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "INSERT INTO refresh_tokens (hash, session_id, parent, expires_at) VALUES ($1, $2, $3, $4)", successor, session, hash, extended.ExpiresAt)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE sessions SET last_used_at = $2, expires_at = $3 WHERE id = $1", session, extended.LastUsedAt, extended.ExpiresAt)
	return err
}

// RefuseReused revokes the session of a refresh token that Refresh found reused, and stores the event. It is app.ErrReused
// when it has succeeded.
func (s *Store) RefuseReused(ctx context.Context, r app.Refresh) error {
	err := postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		return s.revokeReused(ctx, tx, r.Session.UserID, r.Session.ID, r.Session.ClientID)
	})
	if err == nil {
		err = app.ErrReused
	}
	return err
}

// revokeReused ends the session, once, and stores the event of it.
func (s *Store) revokeReused(ctx context.Context, tx pgx.Tx, user, session uuid.UUID, client string) error {
	if found, err := revokeSession(ctx, tx, user, session, "refresh-reused"); err != nil || !found {
		return err // somebody was faster
	}
	return s.tellOfReuse(ctx, tx, app.ReuseData{UserID: user, SessionID: session, ClientID: client})
}

// RevokeRefresh ends the session of a refresh token of this client, be the token used. An unknown token is no error;
// another client's is app.ErrNoGrant.
func (s *Store) RevokeRefresh(ctx context.Context, hash []byte, client string) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		var (
			session, user uuid.UUID
			owner         string
		)
		err := tx.QueryRow(ctx, "SELECT id, user_id, client_id FROM sessions WHERE id = (SELECT session_id FROM refresh_tokens WHERE hash = $1)", hash).
			Scan(&session, &user, &owner)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil
		case err != nil:
			return err
		case owner != client:
			return app.ErrNoGrant
		}
		_, err = revokeSession(ctx, tx, user, session, "revoked-by-client")
		return err
	})
}
