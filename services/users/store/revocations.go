package store

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"souk/internal/postgres"
	"souk/internal/tokens"
	"souk/services/users/app"
)

// revocationLife is how long a revocation matters: until the last access token that it can mean has expired, as seen by
// a clock that is a few minutes late.
const revocationLife = app.AccessTokenLife + 5*time.Minute

// addRevocation has verifiers refuse tokens that were issued before a moment.
func addRevocation(ctx context.Context, tx pgx.Tx, kind, id string, before time.Time, reason string) error {
	_, err := tx.Exec(ctx, "INSERT INTO revocations (kind, id, before, expires, reason) VALUES ($1, $2, $3, greatest($3::timestamptz, $4), $5)",
		kind, id, before, time.Now().Add(revocationLife), reason)
	return err
}

// RevokeToken has one access token refused.
func (s *Store) RevokeToken(ctx context.Context, tokenID string) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		return addRevocation(ctx, tx, tokens.KindToken, tokenID, time.Now().Add(revocationLife), "revoked-by-client")
	})
}

// Alive tells whether an access token with a good signature has not been revoked.
func (s *Store) Alive(ctx context.Context, t app.Issued) (alive bool, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		return q.QueryRow(ctx, `SELECT ($3 = $4::uuid OR EXISTS (SELECT FROM sessions WHERE id = $3 AND user_id::text = $2))
			AND NOT EXISTS (SELECT FROM revocations WHERE kind = 'token' AND id = $1)
			AND NOT EXISTS (SELECT FROM revocations WHERE kind = 'subject' AND id = $2 AND before > $5)`,
			t.TokenID, t.Subject, t.Session, uuid.Nil, t.IssuedAt).Scan(&alive)
	})
	return alive, err
}

// RevokedSince gives the revocations that were committed since the cursor was made, each at least once, with the next
// cursor; after "", or a cursor that is not of this database, all that have not expired.
//
// The cursor is a snapshot (pg_current_snapshot): what it could not see yet, because its transaction had not ended, is
// given later, in whatever order transactions commit. A number or time of the row would skip what commits late.
func (s *Store) RevokedSince(ctx context.Context, cursor string) (feed tokens.Feed, err error) {
	if !snapshot.MatchString(cursor) {
		cursor = ""
	}
	feed, err = s.revokedSince(ctx, cursor)
	if pg := (*pgconn.PgError)(nil); cursor != "" && errors.As(err, &pg) && strings.HasPrefix(pg.Code, "22") { // data exception: no snapshot
		feed, err = s.revokedSince(ctx, "")
	}
	return feed, err
}

// snapshot is pg_snapshot's text: xmin:xmax:xip_list.
var snapshot = regexp.MustCompile(`^[0-9]{1,20}:[0-9]{1,20}:[0-9,]*$`)

func (s *Store) revokedSince(ctx context.Context, cursor string) (feed tokens.Feed, err error) {
	if cursor == "" {
		cursor = "1:1:" // before every transaction
	}
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		feed = tokens.Feed{Revocations: []tokens.Revocation{}}
		// One statement is one snapshot: what it sees is what the cursor it returns says it saw.
		rows, err := q.Query(ctx, `WITH now AS (SELECT pg_current_snapshot() AS snapshot),
				seen AS (SELECT CASE WHEN pg_snapshot_xmax($1::pg_snapshot) <= pg_snapshot_xmax(snapshot) THEN $1::pg_snapshot ELSE '1:1:' END AS snapshot FROM now)
			SELECT now.snapshot::text, r.kind, r.id, r.before, r.expires
			FROM now CROSS JOIN seen LEFT JOIN revocations r
				ON r.xid >= pg_snapshot_xmin(seen.snapshot) AND NOT pg_visible_in_snapshot(r.xid, seen.snapshot) AND r.expires > now()
			ORDER BY r.n`, cursor)
		if err != nil {
			return err
		}
		var kind, id *string
		var before, expires *time.Time
		_, err = pgx.ForEachRow(rows, []any{&feed.Cursor, &kind, &id, &before, &expires}, func() error {
			if kind != nil { // null: there is no row
				feed.Revocations = append(feed.Revocations, tokens.Revocation{Kind: *kind, ID: *id, Before: before.UTC(), Expires: expires.UTC()})
			}
			return nil
		})
		return err
	})
	return feed, err
}
