package app

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Once makes a request that comes again with the same key have one effect.
type Once struct {
	Principal   string // who asks: keys of others are other keys
	Route       string // method and route template: "POST /v1/refunds"
	Key         string // Idempotency-Key
	Fingerprint []byte // of the whole request
}

// Kept is what is known of an earlier request with the same key.
type Kept struct {
	Final bool      // it was answered with Body; else it awaits the provider, or was left without an answer
	ID    uuid.UUID // what the request made or moved, if it is not final
	Body  []byte
}

// Store keeps payments. Its methods are one transaction each. Failures of the database are errs.Unavailable.
type Store interface {
	// Change locks what the selection names, has move change it, and stores that with all effects. The operations that
	// are begun are leased to the caller, who hands them to a Worker; if nobody asks the provider by then, whoever claims
	// them does. The set is returned as it was stored. move may be called again, with another set.
	Change(ctx context.Context, s Selection, move func(*Set) error) (*Set, error)
	// ChangeOnce is Change for a request with a key. If the key came before, nothing is changed and kept tells of it.
	// Else id, which move gives, is kept with the key until Answer.
	ChangeOnce(ctx context.Context, once Once, s Selection, move func(*Set) (id uuid.UUID, err error)) (set *Set, kept *Kept, err error)
	// Answer makes the body the final answer of a key that came with ChangeOnce.
	Answer(ctx context.Context, once Once, body []byte) error
	// Notice is Change for a provider's notice: one that came before changes nothing, and the set is nil.
	Notice(ctx context.Context, provider, id string, s Selection, move func(*Set) error) (*Set, error)

	// Claim leases operations whose time has come, the longest waiting first.
	Claim(ctx context.Context, limit int) ([]Operation, error)
	// Postpone has operations claimed at another time than the end of their lease.
	Postpone(ctx context.Context, all []Postponed) error

	// Intent by id, or ErrNotFound; IntentOfOrder by the order's.
	Intent(ctx context.Context, id uuid.UUID) (Intent, error)
	IntentOfOrder(ctx context.Context, order uuid.UUID) (Intent, error)
	// Refund by id, or ErrRefundNotFound; Refunds of an intent, the newest first.
	Refund(ctx context.Context, id uuid.UUID) (Refund, error)
	Refunds(ctx context.Context, intent, before uuid.UUID, limit int) ([]Refund, error)

	// Positions are payments of orders with ids after that one, ascending; Balance is the sum of the ledger by currency.
	Positions(ctx context.Context, after uuid.UUID, limit int) ([]Position, error)
	Balance(ctx context.Context) ([]Balance, error)
}

// Postponed operation.
type Postponed struct {
	OperationKey
	Until time.Time
	Asked bool // the provider has answered "processing"
}
