package store

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/users/app"
)

// AskMail implements app.Store.
func (s *Store) AskMail(ctx context.Context, kind app.MailKind, login []byte) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockLogin(ctx, tx, login); err != nil {
			return err
		}
		if many, err := manyMails(ctx, tx, kind, login); err != nil || many {
			return err
		}
		return askMail(ctx, tx, kind, login, nil)
	})
}

// sameLimit are the kinds that count together.
func sameLimit(kind app.MailKind) []app.MailKind {
	if kind == app.MailVerifyEmail {
		return []app.MailKind{app.MailVerifyEmail, app.MailAccountExists}
	}
	return []app.MailKind{kind}
}

// manyMails says whether the e-mail has had its share, under its lock.
func manyMails(ctx context.Context, tx pgx.Tx, kind app.MailKind, login []byte) (many bool, err error) {
	err = tx.QueryRow(ctx, "SELECT count(*) >= $3 FROM mails WHERE login = $1 AND kind = ANY ($2) AND created_at > now() - interval '1 hour'",
		login, sameLimit(kind), app.MaxMails).Scan(&many)
	return many, err
}

// askMail stores a mail to an e-mail, with the event that has it sent. One that verifies is about the given registration,
// or the newest if it is nil. Whether the e-mail has an account changes what is stored, never what is done: time must not
// tell.
func askMail(ctx context.Context, tx pgx.Tx, kind app.MailKind, login []byte, about *uuid.UUID) error {
	var user, registration *uuid.UUID
	err := tx.QueryRow(ctx, `SELECT (SELECT id FROM users WHERE login = $1),
			coalesce($2, (SELECT id FROM registrations WHERE login = $1 AND expires_at > now() ORDER BY created_at DESC, id DESC LIMIT 1))`,
		login, about).Scan(&user, &registration)
	if err != nil {
		return err
	}
	subject := user
	if kind == app.MailVerifyEmail {
		if user != nil {
			kind = app.MailAccountExists
		} else {
			subject = registration
		}
	}
	return storeMail(ctx, tx, kind, login, subject)
}

// storeMail stores a mail and its event. The event's key is the subject's, so that it comes before that of an erasure.
func storeMail(ctx context.Context, tx pgx.Tx, kind app.MailKind, login []byte, subject *uuid.UUID) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO mails (id, kind, login, subject, created_at, expires_at) VALUES ($1, $2, $3, $4, now(), now() + make_interval(secs => $5))",
		id, kind, login, subject, kind.Life().Seconds())
	if err != nil {
		return err
	}
	key := id
	if subject != nil {
		key = *subject
	}
	return appendEvent(ctx, tx, app.MailRequested, key, 0, app.MailData{MailID: id, Kind: kind})
}

// Mail implements app.Store.
func (s *Store) Mail(ctx context.Context, id uuid.UUID, link []byte) (m app.Mail, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		m = app.Mail{}
		var (
			login   []byte
			subject *uuid.UUID
		)
		const find = "SELECT login, subject, kind, expires_at FROM mails WHERE id = $1 AND NOT done AND expires_at > now()"
		scan := func() error {
			err := tx.QueryRow(ctx, find, id).Scan(&login, &subject, &m.Kind, &m.ExpiresAt)
			if errors.Is(err, pgx.ErrNoRows) {
				return app.ErrGone
			}
			return err
		}
		if err := scan(); err != nil {
			return err
		}
		if err := lockLogin(ctx, tx, login); err != nil {
			return err
		}
		if err := scan(); err != nil { // as it is now that nobody changes it
			return err
		}
		to, err := receiverOf(ctx, tx, &m, login, subject)
		if err != nil {
			return err
		}
		m.ExpiresAt = m.ExpiresAt.UTC()
		if m.Kind != app.MailVerifyEmail && m.Kind != app.MailResetPassword {
			return nil
		}
		return addLink(ctx, tx, id, m, to, link)
	})
	if err != nil {
		return app.Mail{}, err
	}
	return m, nil
}

// receiverOf fills in whom the mail is to, as of now, or says that it is of no use any more.
func receiverOf(ctx context.Context, tx pgx.Tx, m *app.Mail, login []byte, subject *uuid.UUID) (to uuid.UUID, err error) {
	err = tx.QueryRow(ctx, "SELECT id, email, name, locale FROM users WHERE login = $1", login).Scan(&to, &m.To, &m.Name, &m.Locale)
	switch {
	case err == nil && m.Kind == app.MailVerifyEmail:
		m.Kind = app.MailAccountExists // since it was asked for
		return to, nil
	case err == nil:
		return to, nil
	case !errors.Is(err, pgx.ErrNoRows):
		return to, err
	case m.Kind != app.MailVerifyEmail:
		return to, app.ErrGone
	}
	expires := m.ExpiresAt
	err = tx.QueryRow(ctx, `SELECT id, email, name, locale, least(expires_at, $3) FROM registrations
		WHERE login = $1 AND id = coalesce($2, id) AND expires_at > now() ORDER BY created_at DESC, id DESC LIMIT 1`, login, subject, expires).
		Scan(&to, &m.To, &m.Name, &m.Locale, &m.ExpiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		err = app.ErrGone
	}
	return to, err
}

// addLink has the mail's newest links work, and no more than a few of them.
func addLink(ctx context.Context, tx pgx.Tx, mail uuid.UUID, m app.Mail, to uuid.UUID, link []byte) error {
	if _, err := tx.Exec(ctx, "UPDATE mails SET subject = $2 WHERE id = $1 AND subject IS NULL", mail, to); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "DELETE FROM links WHERE hash IN (SELECT hash FROM links WHERE mail_id = $1 ORDER BY created_at DESC OFFSET $2)", mail, app.MaxLinks-1)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO links (hash, mail_id, kind, subject, expires_at) VALUES ($1, $2, $3, $4, $5)", link, mail, m.Kind, to, m.ExpiresAt)
	return err
}

// linkSubject is what a link of the kind leads to, or app.ErrLinkInvalid.
func linkSubject(ctx context.Context, q postgres.Querier, kind app.MailKind, link []byte) (id uuid.UUID, err error) {
	err = q.QueryRow(ctx, "SELECT subject FROM links WHERE hash = $1 AND kind = $2 AND expires_at > now()", link, kind).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = app.ErrLinkInvalid
	}
	return id, err
}
