package store

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/users/app"
)

// Credentials implements app.Store.
func (s *Store) Credentials(ctx context.Context, login []byte) (app.User, string, error) {
	return s.credentials(ctx, "login", login)
}

// CredentialsOf implements app.Store.
func (s *Store) CredentialsOf(ctx context.Context, id uuid.UUID) (app.User, string, error) {
	return s.credentials(ctx, "id", id)
}

func (s *Store) credentials(ctx context.Context, column string, value any) (u app.User, hash string, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		u, err = one(ctx, q, func(row pgx.CollectableRow) (app.User, error) { return scanUserAnd(row, &hash) },
			"SELECT "+userColumns+", password_hash FROM users WHERE "+column+" = $1 AND erased_at IS NULL", value)
		if errors.Is(err, pgx.ErrNoRows) {
			err = app.ErrUserNotFound
		}
		return err
	})
	return u, hash, err
}

// LinkedUser implements app.Store.
func (s *Store) LinkedUser(ctx context.Context, link []byte) (u app.User, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		id, err := linkSubject(ctx, q, app.MailResetPassword, link)
		if err != nil {
			return err
		}
		u, err = userByID(ctx, q, id, "")
		if errors.Is(err, app.ErrGone) {
			err = app.ErrLinkInvalid
		}
		return err
	})
	return u, err
}

// ResetPassword implements app.Store.
func (s *Store) ResetPassword(ctx context.Context, link []byte, hash string) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		id, err := linkSubject(ctx, tx, app.MailResetPassword, link)
		if err != nil {
			return err
		}
		login, _, err := lockUser(ctx, tx, id)
		if errors.Is(err, app.ErrGone) {
			return app.ErrLinkInvalid
		}
		if err != nil {
			return err
		}
		if _, err := linkSubject(ctx, tx, app.MailResetPassword, link); err != nil { // used meanwhile
			return err
		}
		for _, forget := range []string{"attempts", "known_addresses"} { // whoever knew the old password is a stranger
			if _, err := tx.Exec(ctx, "DELETE FROM "+forget+" WHERE login = $1", login); err != nil {
				return err
			}
		}
		return setPassword(ctx, tx, id, uuid.Nil, login, hash, "password-reset")
	})
}

// ChangePassword implements app.Store.
func (s *Store) ChangePassword(ctx context.Context, user, except uuid.UUID, verified, hash string) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		login, current, err := lockUser(ctx, tx, user)
		if err != nil {
			return err
		}
		if current != verified {
			return app.ErrWrongPassword
		}
		return setPassword(ctx, tx, user, except, login, hash, "password-changed")
	})
}

// lockUser holds a user and what belongs to the e-mail until the transaction ends.
func lockUser(ctx context.Context, tx pgx.Tx, id uuid.UUID) (login []byte, hash string, err error) {
	find := func(lock string) error {
		err := tx.QueryRow(ctx, "SELECT login, password_hash FROM users WHERE id = $1 AND erased_at IS NULL "+lock, id).Scan(&login, &hash)
		if errors.Is(err, pgx.ErrNoRows) {
			_, err = userByID(ctx, tx, id, "")
		}
		return err
	}
	if err := find(""); err != nil {
		return nil, "", err
	}
	if err := lockLogin(ctx, tx, login); err != nil {
		return nil, "", err
	}
	err = find("FOR UPDATE")
	return login, hash, err
}

// setPassword of a user who is locked; links that would reset it end, and sessions but one.
func setPassword(ctx context.Context, tx pgx.Tx, user, except uuid.UUID, login []byte, hash, reason string) error {
	_, err := tx.Exec(ctx, "UPDATE users SET password_hash = $2, version = version + 1, updated_at = date_trunc('milliseconds', now()) WHERE id = $1", user, hash)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM mails WHERE login = $1 AND kind = $2", login, app.MailResetPassword); err != nil { // links go with them
		return err
	}
	if err := revokeSessions(ctx, tx, user, except, reason); err != nil {
		return err
	}
	return storeMail(ctx, tx, app.MailPasswordChanged, login, &user)
}
