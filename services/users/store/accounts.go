package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/users/app"
)

const userColumns = "id, version, email, email_verified_at, name, phone, locale, addresses, roles, created_at, updated_at, tokens_valid_from"

// User implements app.Store.
func (s *Store) User(ctx context.Context, id uuid.UUID) (u app.User, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		u, err = userByID(ctx, q, id, "")
		return err
	})
	return u, err
}

// Contacts implements app.Store.
func (s *Store) Contacts(ctx context.Context, ids []uuid.UUID) (contacts []app.Contact, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, "SELECT id, email, name, locale FROM users WHERE id = ANY($1) AND erased_at IS NULL", ids)
		if err != nil {
			return err
		}
		contacts, err = pgx.CollectRows(rows, pgx.RowToStructByPos[app.Contact])
		return err
	})
	return contacts, err
}

// Change implements app.Store.
func (s *Store) Change(ctx context.Context, id uuid.UUID, change func(*app.User) error) (u app.User, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		if u, err = userByID(ctx, tx, id, "FOR UPDATE"); err != nil {
			return err
		}
		version := u.Version
		if err := change(&u); err != nil || u.Version == version {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE users SET version = $2, name = $3, phone = $4, locale = $5, addresses = $6, updated_at = $7 WHERE id = $1",
			id, u.Version, u.Name, u.Phone, u.Locale, u.Addresses, u.UpdatedAt)
		return err
	})
	if err != nil {
		return app.User{}, err
	}
	return u, nil
}

// userByID is a user that is there; lock is "" or what the row is locked for.
func userByID(ctx context.Context, q postgres.Querier, id uuid.UUID, lock string) (app.User, error) {
	u, err := one(ctx, q, scanUser, "SELECT "+userColumns+" FROM users WHERE id = $1 AND erased_at IS NULL "+lock, id)
	if !errors.Is(err, pgx.ErrNoRows) {
		return u, err
	}
	var erased bool
	if err := q.QueryRow(ctx, "SELECT EXISTS (SELECT FROM users WHERE id = $1)", id).Scan(&erased); err != nil {
		return app.User{}, err
	}
	if erased {
		return app.User{}, app.ErrGone
	}
	return app.User{}, app.ErrUserNotFound
}

// one is the row that the query finds, or pgx.ErrNoRows.
func one[T any](ctx context.Context, q postgres.Querier, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return *new(T), err
	}
	return pgx.CollectExactlyOneRow(rows, scan)
}

// scanUser reads userColumns, and what more a query has.
func scanUser(row pgx.CollectableRow) (app.User, error) { return scanUserAnd(row) }

func scanUserAnd(row pgx.CollectableRow, more ...any) (u app.User, err error) {
	var validFrom *time.Time
	err = row.Scan(append([]any{&u.ID, &u.Version, &u.Email, &u.EmailVerifiedAt, &u.Name, &u.Phone, &u.Locale, &u.Addresses, &u.Roles,
		&u.CreatedAt, &u.UpdatedAt, &validFrom}, more...)...)
	if validFrom != nil {
		u.TokensValidFrom = validFrom.UTC()
	}
	u.EmailVerifiedAt, u.CreatedAt, u.UpdatedAt = u.EmailVerifiedAt.UTC(), u.CreatedAt.UTC(), u.UpdatedAt.UTC()
	return u, err
}

// Locks are taken in this order, so that no two wait for one another: the admins, the login, the user, the rest.

// lockLogin has whatever deals with registrations, mails and links of an e-mail go one after the other, also while there
// is no row that could be locked.
func lockLogin(ctx context.Context, tx pgx.Tx, login []byte) error {
	return advisoryLock(ctx, tx, "login", login)
}

// lockAdmins has changes of who is an admin go one after the other.
func lockAdmins(ctx context.Context, tx pgx.Tx) error { return advisoryLock(ctx, tx, "admins", nil) }

func advisoryLock(ctx context.Context, tx pgx.Tx, kind string, id []byte) error {
	sum := sha256.Sum256(append([]byte("users/"+kind+"/"), id...))
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(binary.BigEndian.Uint64(sum[:8]))) //nolint:gosec // any 64 bits will do
	return err
}
