package stripe

import (
	"context"
	"errors"

	stripego "github.com/stripe/stripe-go/v83"

	"souk/services/payments/app"
)

// Void implements app.Provider. Without a reference nobody knows whether the authorisation has arrived, or will. Then its
// idempotency key is used up by a PaymentIntent that asks for no money: an authorisation that comes later is refused.
func (p *Provider) Void(ctx context.Context, r app.Request) (app.Result, error) {
	api, err := p.api()
	if err != nil {
		return app.Result{}, err
	}
	pi, err := intent(ctx, api, r)
	if err != nil {
		return app.Result{}, err
	}
	if pi == nil {
		if pi, err = bury(ctx, api, r); err != nil {
			return app.Result{}, err
		}
	}
	if pi.Status == stripego.PaymentIntentStatusCanceled {
		return app.Result{Outcome: app.Voided, Reference: pi.ID}, nil
	}
	// No key: Stripe would answer "not now" for ever, and an intent that is cancelled can't be cancelled twice.
	cancelled, err := api.V1PaymentIntents.Cancel(ctx, pi.ID, nil)
	if err == nil {
		return app.Result{Outcome: app.Voided, Reference: cancelled.ID}, nil
	}
	if kindOf(err) != refused {
		return app.Result{}, unknown(err)
	}
	now, problem := api.V1PaymentIntents.Retrieve(ctx, pi.ID, nil)
	switch {
	case problem != nil:
		return app.Result{}, unknown(problem)
	case now.Status == stripego.PaymentIntentStatusCanceled:
		return app.Result{Outcome: app.Voided, Reference: pi.ID}, nil
	case now.Status == stripego.PaymentIntentStatusSucceeded:
		return app.Result{Outcome: app.Failed, Reference: pi.ID, Reason: "captured"}, nil
	}
	return app.Result{}, unknown(err) // processing: it can be cancelled later
}

// bury uses up the key of the authorisation, or finds what it was used for.
func bury(ctx context.Context, api *stripego.Client, r app.Request) (*stripego.PaymentIntent, error) {
	asked := r
	asked.OperationID = r.AuthoriseID
	params, ok := creation(asked)
	if !ok {
		return &stripego.PaymentIntent{Status: stripego.PaymentIntentStatusCanceled}, nil // it never was asked for
	}
	tombstone, _ := creation(asked)
	tombstone.Confirm, tombstone.ErrorOnRequiresAction, tombstone.PaymentMethod = nil, nil, nil
	tombstone.AddMetadata(metaTombstone, "true")
	pi, err := api.V1PaymentIntents.Create(ctx, tombstone)
	if err == nil {
		return pi, nil
	}
	if kindOf(err) != keyUsed {
		return nil, unknown(err)
	}
	// The authorisation has arrived. Repeated with its key it moves nothing, and Stripe answers as it did then.
	pi, err = api.V1PaymentIntents.Create(ctx, params)
	if err == nil {
		return pi, nil
	}
	if no, ok := refusalOf(err); ok {
		if no.intent != nil {
			return no.intent, nil
		}
		return &stripego.PaymentIntent{Status: stripego.PaymentIntentStatusCanceled}, nil // nothing was made
	}
	return nil, errors.Join(unknown(err), errors.New("stripe: the authorisation to be voided can't be found yet"))
}
