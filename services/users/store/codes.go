package store

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/users/app"
)

const codeColumns = "hash, client_id, user_id, redirect_uri, scopes, challenge, browser, auth_time, expires_at"

// OpenSession adds a session of a user who is still as in that version, with its first refresh token if that is not nil;
// else app.ErrUserChanged.
func (s *Store) OpenSession(ctx context.Context, session app.Session, version int64, refresh []byte) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := unchanged(ctx, tx, session.UserID, version); err != nil {
			return err
		}
		return insertSession(ctx, tx, session, refresh)
	})
}

// unchanged holds the user as it is until the transaction ends. Whoever locks a user as well as its sessions does it in
// this order.
func unchanged(ctx context.Context, tx pgx.Tx, user uuid.UUID, version int64) error {
	var same bool
	err := tx.QueryRow(ctx, "SELECT version = $2 AND erased_at IS NULL FROM users WHERE id = $1 FOR SHARE", user, version).Scan(&same)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && !same {
		return app.ErrUserChanged
	}
	return err
}

// SaveCode keeps a code, if the login in the browser that it stands on is still good; else app.ErrNoGrant.
func (s *Store) SaveCode(ctx context.Context, c app.Code) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "INSERT INTO authorization_codes ("+codeColumns+`)
			SELECT $1, $2, $3, $4, $5, $6, hash, $8, $9 FROM browser_sessions WHERE hash = $7 AND user_id = $3 AND expires_at > now() FOR KEY SHARE`,
			c.Hash, c.ClientID, c.UserID, c.RedirectURI, c.Scopes, c.Challenge, c.Browser, c.AuthTime, c.ExpiresAt)
		if err == nil && tag.RowsAffected() == 0 {
			err = app.ErrNoGrant
		}
		return err
	})
}

// Code finds a code, be it used; app.ErrNoGrant if there is none or it has expired unused.
func (s *Store) Code(ctx context.Context, hash []byte) (c app.Code, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		err := q.QueryRow(ctx, "SELECT "+codeColumns+", used_at IS NOT NULL FROM authorization_codes WHERE hash = $1 AND (expires_at > now() OR used_at IS NOT NULL)", hash).
			Scan(&c.Hash, &c.ClientID, &c.UserID, &c.RedirectURI, &c.Scopes, &c.Challenge, &c.Browser, &c.AuthTime, &c.ExpiresAt, &c.Used)
		if errors.Is(err, pgx.ErrNoRows) {
			return app.ErrNoGrant
		}
		return err
	})
	return c, err
}

// RedeemCode makes a code's session, once. A code that was used already is app.ErrReused, and what the first use gave is
// revoked.
func (s *Store) RedeemCode(ctx context.Context, hash []byte, session app.Session, version int64, refresh []byte) error {
	reused := false
	err := postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		reused = false
		if err := unchanged(ctx, tx, session.UserID, version); err != nil {
			return err
		}
		var first *uuid.UUID
		err := tx.QueryRow(ctx, "SELECT session_id FROM authorization_codes WHERE hash = $1 AND user_id = $2 AND (expires_at > now() OR used_at IS NOT NULL) FOR UPDATE",
			hash, session.UserID).Scan(&first)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return app.ErrNoGrant
		case err != nil:
			return err
		case first != nil:
			reused = true
			_, err := revokeSession(ctx, tx, session.UserID, *first, "code-reused")
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE authorization_codes SET used_at = now(), session_id = $2 WHERE hash = $1", hash, session.ID); err != nil {
			return err
		}
		return insertSession(ctx, tx, session, refresh)
	})
	if err == nil && reused {
		err = app.ErrReused
	}
	return err
}

// RefuseUsedCode revokes what a code's first use gave. It is app.ErrReused when it has succeeded.
func (s *Store) RefuseUsedCode(ctx context.Context, c app.Code) error {
	err := postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		var first uuid.UUID
		err := tx.QueryRow(ctx, "SELECT session_id FROM authorization_codes WHERE hash = $1 AND session_id IS NOT NULL", c.Hash).Scan(&first)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = revokeSession(ctx, tx, c.UserID, first, "code-reused")
		return err
	})
	if err == nil {
		err = app.ErrReused
	}
	return err
}
