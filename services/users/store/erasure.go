package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/users/app"
)

// Erase implements app.Store. What others of the service still know of the user ends by expiring: revocations have the id
// only, as have the events.
func (s *Store) Erase(ctx context.Context, id uuid.UUID) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockAdmins(ctx, tx); err != nil {
			return err
		}
		login, _, err := lockUser(ctx, tx, id)
		if err != nil {
			return err
		}
		u, err := userByID(ctx, tx, id, "")
		if err != nil {
			return err
		}
		if slices.Contains(u.Roles, app.Admin) {
			if err := mustLeaveAdmin(ctx, tx, id); err != nil {
				return err
			}
		}
		var from time.Time
		err = tx.QueryRow(ctx, `UPDATE users SET erased_at = date_trunc('milliseconds', now()), version = version + 1, roles = '{}',
				login = NULL, email = NULL, email_verified_at = NULL, password_hash = NULL, name = NULL, phone = NULL, locale = NULL,
				addresses = NULL, updated_at = NULL, tokens_valid_from = NULL, lock_told_at = NULL
			WHERE id = $1 RETURNING date_trunc('second', clock_timestamp()) + interval '1 second'`, id).Scan(&from)
		if err != nil {
			return err
		}
		for _, table := range []string{"registrations", "mails", "attempts", "known_addresses"} { // links go with mails
			if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE login = $1", login); err != nil {
				return err
			}
		}
		if err := revokeSessions(ctx, tx, id, uuid.Nil, "erased"); err != nil {
			return err
		}
		if err := forgetGrants(ctx, tx, id); err != nil {
			return err
		}
		if err := revokeTokensOf(ctx, tx, id, from); err != nil {
			return err
		}
		return appendEvent(ctx, tx, app.Erased, id, u.Version+1, app.UserData{UserID: id})
	})
}

// Export implements app.Store, as of one moment.
func (s *Store) Export(ctx context.Context, id uuid.UUID) (e app.Export, err error) {
	err = postgres.TxAt(ctx, s.pool, pgx.RepeatableRead, func(tx pgx.Tx) error {
		e = app.Export{}
		if e.User, err = userByID(ctx, tx, id, ""); err != nil {
			return err
		}
		if e.Sessions, err = all(ctx, tx, scanSession, "SELECT "+sessionColumns+" FROM sessions WHERE user_id = $1 ORDER BY id", id); err != nil {
			return err
		}
		e.Consents, err = all(ctx, tx, pgx.RowToStructByPos[app.Consent],
			"SELECT client_id, scopes, granted_at FROM consents WHERE user_id = $1 ORDER BY client_id", id)
		if err != nil {
			return err
		}
		e.KnownAddresses, err = all(ctx, tx, pgx.RowToStructByPos[app.KnownAddress],
			"SELECT CASE masklen(address) WHEN 32 THEN host(address) ELSE address::text END, last_login_at FROM known_addresses WHERE login = (SELECT login FROM users WHERE id = $1) ORDER BY last_login_at", id)
		if err != nil {
			return err
		}
		e.Mails, err = all(ctx, tx, pgx.RowToStructByPos[app.SentMail],
			"SELECT kind, created_at FROM mails WHERE login = (SELECT login FROM users WHERE id = $1) ORDER BY id", id)
		return err
	})
	if err != nil {
		return app.Export{}, err
	}
	return e, nil
}

// all rows of a query, never nil.
func all[T any](ctx context.Context, q postgres.Querier, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.AppendRows([]T{}, rows, scan)
}
