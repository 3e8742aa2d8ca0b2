package store

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/users/app"
)

// SetRoles implements app.Store.
func (s *Store) SetRoles(ctx context.Context, actor, id uuid.UUID, match func(version int64) error, roles []string) (u app.User, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockAdmins(ctx, tx); err != nil {
			return err
		}
		if actor != uuid.Nil {
			if err := mustBeAdmin(ctx, tx, actor); err != nil {
				return err
			}
		}
		if u, err = userByID(ctx, tx, id, "FOR UPDATE"); err != nil {
			return err
		}
		if err := match(u.Version); err != nil || slices.Equal(u.Roles, roles) {
			return err
		}
		if slices.Contains(u.Roles, app.Admin) && !slices.Contains(roles, app.Admin) {
			if err := mustLeaveAdmin(ctx, tx, id); err != nil {
				return err
			}
		}
		// The clock, not the transaction's begin: it may have waited for the locks.
		u, err = one(ctx, tx, scanUser, `UPDATE users SET roles = $2, version = version + 1, updated_at = date_trunc('milliseconds', clock_timestamp()),
			tokens_valid_from = date_trunc('second', clock_timestamp()) + interval '1 second' WHERE id = $1 RETURNING `+userColumns, id, roles)
		if err != nil {
			return err
		}
		if err := revokeTokensOf(ctx, tx, id, u.TokensValidFrom); err != nil {
			return err
		}
		return appendEvent(ctx, tx, app.RolesChanged, id, u.Version, app.RolesData{UserID: id, Roles: roles})
	})
	if err != nil {
		return app.User{}, err
	}
	return u, nil
}

// mustBeAdmin: the actor's token may be older than the loss of the role.
func mustBeAdmin(ctx context.Context, tx pgx.Tx, actor uuid.UUID) error {
	u, err := userByID(ctx, tx, actor, "")
	if errors.Is(err, app.ErrGone) || errors.Is(err, app.ErrUserNotFound) || err == nil && !slices.Contains(u.Roles, app.Admin) {
		return app.ErrNotAllowed
	}
	return err
}

// mustLeaveAdmin: under the admins' lock, another one is there.
func mustLeaveAdmin(ctx context.Context, tx pgx.Tx, but uuid.UUID) error {
	var others bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM users WHERE 'admin' = ANY (roles) AND id <> $1)", but).Scan(&others)
	if err == nil && !others {
		err = app.ErrLastAdmin
	}
	return err
}
