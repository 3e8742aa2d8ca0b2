package app

import (
	"context"
	"net/http"

	"github.com/google/uuid"
)

// Who reads: a user sees the payments of the user's own orders, who may see all, all.
type Who struct {
	User uuid.UUID
	All  bool
}

// mine is ErrNotFound for a payment of somebody else's, as for one that is not there.
func (w Who) mine(i Intent, err error) (Intent, error) {
	if err == nil && (i.Tombstone() || !w.All && (w.User == uuid.Nil || i.UserID != w.User)) {
		return Intent{}, ErrNotFound
	}
	return i, err
}

// Intent by id.
func (p *Payments) Intent(ctx context.Context, id uuid.UUID, who Who) (Intent, error) {
	return who.mine(p.store.Intent(ctx, id))
}

// IntentOfOrder is the order's payment.
func (p *Payments) IntentOfOrder(ctx context.Context, order uuid.UUID, who Who) (Intent, error) {
	return who.mine(p.store.IntentOfOrder(ctx, order))
}

// RefundPage is a page of refunds.
type RefundPage struct {
	Refunds []Refund
	More    bool // there are older ones
}

// Refunds of an intent, the newest first: those older than before, or all if that is uuid.Nil.
func (p *Payments) Refunds(ctx context.Context, intent uuid.UUID, who Who, before uuid.UUID, limit int) (RefundPage, error) {
	if _, err := p.Intent(ctx, intent, who); err != nil {
		return RefundPage{}, err
	}
	refunds, err := p.store.Refunds(ctx, intent, before, limit+1) // one more tells whether there is a next page
	if err != nil || len(refunds) <= limit {
		return RefundPage{Refunds: refunds}, err
	}
	return RefundPage{Refunds: refunds[:limit], More: true}, nil
}

// Notice takes a provider's webhook. It may come twice, late and out of order; what it says counts if the answer to that
// operation is still awaited. Errors: ErrNotFound for a provider that there is not, ErrBadSignature, ErrStaleSignature.
func (p *Payments) Notice(ctx context.Context, provider string, header http.Header, body []byte) error {
	for _, known := range p.Providers {
		if known.Name() != provider {
			continue
		}
		n, err := known.ParseWebhook(header, body, p.now())
		if err != nil || n.Kind == "" || !fits(n.Kind, n.Result.Outcome) {
			return err
		}
		all := []Settlement{{OperationKey: OperationKey{IntentID: n.IntentID, Kind: n.Kind, RefundID: n.RefundID}, Result: n.Result}}
		set, err := p.store.Notice(ctx, provider, n.ID, selectSettled(all), func(s *Set) error {
			if i := s.Intent(n.IntentID); i != nil && i.Provider == provider {
				s.Settle(all)
			}
			return nil
		})
		if err == nil && set != nil {
			p.worker.Submit(set.Operations())
			p.hub.changed(set)
		}
		return err
	}
	return ErrProviderUnknown
}
