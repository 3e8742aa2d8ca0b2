package inbox

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"souk/internal/errs"
	"souk/internal/postgres"
)

// Poison marks an error that no other attempt will mend: the event is parked at once.
func Poison(err error) error { return marked{err, poison} }

// Transient marks an error of something that is away and will come back: the event is
// tried again for as long as it takes, and its partition waits.
func Transient(err error) error { return marked{err, transient} }

// verdict on a failed attempt.
type verdict uint8

const (
	counted   verdict = iota // tried again, but not for ever
	transient                // tried again for ever
	poison                   // not tried again
)

type marked struct {
	error
	verdict verdict
}

func (m marked) Unwrap() error { return m.error }

// judge says what to do after an attempt that failed.
func judge(err error) verdict {
	if m := (marked{}); errors.As(err, &m) {
		return m.verdict
	}
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.TooMany, errs.Timeout, errs.BadGateway:
		return transient
	}
	// What PostgreSQL says of its own state is not the event's fault.
	if errs.KindOf(postgres.Explain(err)) == errs.Unavailable || ofServer(err) {
		return transient
	}
	return counted
}

// ofServer: read-only (a standby, or a fail-over under way), disk or memory full, configuration limits, I/O.
func ofServer(err error) bool {
	pg := (*pgconn.PgError)(nil)
	if !errors.As(err, &pg) || len(pg.Code) != 5 {
		return false
	}
	return pg.Code == "25006" || pg.Code[:2] == "53" || pg.Code[:2] == "58"
}

// panicked is what a handler's panic becomes.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// String names the verdict in metrics and logs.
func (v verdict) String() string {
	switch v {
	case transient:
		return "transient"
	case poison:
		return "poison"
	case counted:
	}
	return "error"
}
