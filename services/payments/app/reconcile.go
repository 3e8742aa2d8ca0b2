package app

import (
	"context"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// ErrProviderUnknown is a webhook of nobody we know.
var ErrProviderUnknown = errs.New(errs.NotFound, "provider-not-found", "there is no such payment provider")

// Position is how the payment of an order stands in our books, in the ledger and in the provider's books.
type Position struct {
	OrderID          uuid.UUID    `json:"order_id"`
	IntentID         uuid.UUID    `json:"intent_id"`
	Status           Status       `json:"status"`
	Authorised       money.Amount `json:"authorised"` // that was held, also if it is captured or voided now
	Captured         money.Amount `json:"captured"`
	Refunded         money.Amount `json:"refunded"`
	Voided           money.Amount `json:"voided"`
	LedgerCaptured   money.Amount `json:"ledger_captured"`
	LedgerRefunded   money.Amount `json:"ledger_refunded"`
	ProviderCaptured money.Amount `json:"provider_captured"`
	ProviderRefunded money.Amount `json:"provider_refunded"`
	ProviderHeld     money.Amount `json:"provider_held"`
	ProviderKnown    bool         `json:"provider_known"` // the provider told; else its amounts are 0
	ChangedAt        time.Time    `json:"changed_at"`

	Provider string  `json:"provider"`
	Ask      Request `json:"-"` // what the provider is asked
}

// Balance of the ledger in one currency.
type Balance struct {
	Currency string `json:"currency"`
	Sum      int64  `json:"sum"`      // over all accounts: 0
	Captured int64  `json:"captured"` // of the ledger
	Refunded int64  `json:"refunded"`
	Intents  int64  `json:"intents_captured"` // captured less refunded, summed over the intents
	Books    int64  `json:"ledger_net"`       // the same of the ledger
}

// Positions are payments of orders with ids after that one, with what the providers say.
func (p *Payments) Positions(ctx context.Context, after uuid.UUID, limit int) ([]Position, error) {
	all, err := p.store.Positions(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	for _, provider := range p.Providers {
		var asks []Request
		var at []int
		for n := range all {
			if all[n].Provider == provider.Name() && all[n].Ask.Method != "" { // a tombstone was never asked for
				asks, at = append(asks, all[n].Ask), append(at, n)
			}
		}
		if len(asks) == 0 {
			continue
		}
		totals, err := provider.Totals(ctx, asks)
		if err != nil {
			return nil, errs.New(errs.Unavailable, "provider-unavailable", "the provider's books can't be read at the moment").Because(err)
		}
		for k, t := range totals[:min(len(totals), len(at))] {
			x := &all[at[k]]
			x.ProviderKnown = t.Known
			x.ProviderCaptured.Minor, x.ProviderRefunded.Minor, x.ProviderHeld.Minor = t.Captured, t.Refunded, t.Held
		}
	}
	return all, nil
}

// Balance of the ledger, a currency each.
func (p *Payments) Balance(ctx context.Context) ([]Balance, error) { return p.store.Balance(ctx) }
