package store

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/users/app"
)

// Register implements app.Store. The statements are the same whether the e-mail has an account or not.
func (s *Store) Register(ctx context.Context, p app.Pending) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockLogin(ctx, tx, p.Login); err != nil {
			return err
		}
		if many, err := manyMails(ctx, tx, app.MailVerifyEmail, p.Login); err != nil || many {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM registrations WHERE id IN (SELECT id FROM registrations WHERE login = $1 ORDER BY created_at DESC OFFSET $2)",
			p.Login, app.MaxRegistrations-1)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO registrations (id, login, email, password_hash, name, locale, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, p.ID, p.Login, p.Email, p.PasswordHash, p.Name, p.Locale, p.CreatedAt, p.ExpiresAt)
		if err != nil {
			return err
		}
		return askMail(ctx, tx, app.MailVerifyEmail, p.Login, &p.ID)
	})
}

// Verify implements app.Store.
func (s *Store) Verify(ctx context.Context, link []byte) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		id, err := linkSubject(ctx, tx, app.MailVerifyEmail, link)
		if err != nil {
			return err
		}
		var login []byte
		err = tx.QueryRow(ctx, "SELECT login FROM registrations WHERE id = $1", id).Scan(&login)
		if errors.Is(err, pgx.ErrNoRows) {
			return verified(ctx, tx, id)
		}
		if err != nil {
			return err
		}
		if err := lockLogin(ctx, tx, login); err != nil {
			return err
		}
		// Registered, version 1, and verified, version 2. An e-mail that has an account by now gets no other.
		tag, err := tx.Exec(ctx, `INSERT INTO users (id, version, login, email, email_verified_at, password_hash, name, phone, locale, addresses, roles, created_at, updated_at)
			SELECT id, 2, login, email, date_trunc('milliseconds', now()), password_hash, name, '', locale, '[]', $2,
				date_trunc('milliseconds', now()), date_trunc('milliseconds', now())
			FROM registrations WHERE id = $1 AND expires_at > now() ON CONFLICT DO NOTHING`, id, []string{app.Customer})
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return verified(ctx, tx, id)
		}
		if err := endRegistrations(ctx, tx, login, id); err != nil {
			return err
		}
		if err := appendEvent(ctx, tx, app.Registered, id, 1, app.UserData{UserID: id}); err != nil {
			return err
		}
		return appendEvent(ctx, tx, app.Verified, id, 2, app.UserData{UserID: id})
	})
}

// verified is nil if the link has done already what it is for.
func verified(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	var is bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM users WHERE id = $1 AND erased_at IS NULL)", id).Scan(&is)
	if err == nil && !is {
		err = app.ErrLinkInvalid
	}
	return err
}

// endRegistrations deletes an e-mail's, with the mails and links of all but the one that became a user: that one's links
// still answer that it is done.
func endRegistrations(ctx context.Context, tx pgx.Tx, login []byte, user uuid.UUID) error {
	if _, err := tx.Exec(ctx, "DELETE FROM registrations WHERE login = $1", login); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "DELETE FROM mails WHERE login = $1 AND kind = ANY ($2) AND subject IS DISTINCT FROM $3", login, sameLimit(app.MailVerifyEmail), user)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE mails SET done = true WHERE login = $1 AND subject = $2", login, user)
	return err
}
