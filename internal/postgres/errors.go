package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"souk/internal/errs"
)

// ErrOutcomeUnknown is in the chain of an error of Tx when the connection broke
// during COMMIT: the transaction took effect whole, or not at all.
var ErrOutcomeUnknown = errors.New("the connection broke during commit")

// Violates reports that a constraint of that name (unique, foreign key, check,
// exclusion) refused a row.
func Violates(err error, constraint string) bool {
	pg := (*pgconn.PgError)(nil)
	return errors.As(err, &pg) && strings.HasPrefix(pg.Code, "23") && pg.ConstraintName == constraint
}

// Explain turns an error of PostgreSQL's or of the way to it into what a client
// may be told: 503 where trying again may help. Others, and those that have a
// meaning for the client already, stay as they are. Tx and Read do it by themselves.
func Explain(err error) error {
	known, dialling := (*errs.Error)(nil), (*pgconn.ConnectError)(nil)
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, ErrOutcomeUnknown):
		return errs.New(errs.Unavailable, "outcome-unknown",
			"the database broke off before it confirmed the change; repeat the request, with the same Idempotency-Key if it had one, or read the resource first").Because(err)
	case errors.As(err, &dialling): // its own timeout is a context's too
		return unavailable(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case conflictsWithOthers(err), hasCode(err, "55P03", "57014"): // lock_not_available; query_canceled: one of our timeouts
		return errs.New(errs.Unavailable, "database-busy", "too much is going on with this at the same time; try again").After(time.Second).Because(err)
	case connectionLost(err):
		return unavailable(err)
	}
	return err
}

func unavailable(err error) error {
	return errs.New(errs.Unavailable, "database-unavailable", "the database can't be reached at the moment; try again").After(time.Second).Because(err)
}

// conflictsWithOthers: PostgreSQL undid the transaction because of what others
// did meanwhile; doing it again is safe and may work.
func conflictsWithOthers(err error) bool {
	return hasCode(err, "40001", "40P01") // serialization_failure, deadlock_detected
}

// connectionLost: the statement had no connection, or that ended under it.
func connectionLost(err error) bool {
	if failed := (*pgconn.ConnectError)(nil); errors.As(err, &failed) || errors.Is(err, errConnectionEnded) || errors.Is(err, errNoAddress) {
		return true
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		// connection exceptions; too many connections; shut down, crashed, not up yet; idle_session_timeout
		return strings.HasPrefix(pg.Code, "08") || slices.Contains([]string{"53300", "57P01", "57P02", "57P03", "57P05", "25P03"}, pg.Code) || loginRefused(err)
	}
	netErr := net.Error(nil)
	return pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &netErr) || errors.Is(err, net.ErrClosed)
}

// NotFound is errs.NotFound with the given code and detail for pgx.ErrNoRows,
// else err as it is.
func NotFound(err error, code, detail string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errs.New(errs.NotFound, code, "%s", detail)
	}
	return err
}

// reasonOf is an error on one line.
func reasonOf(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
