package stripe

import (
	"context"
	"strings"

	stripego "github.com/stripe/stripe-go/v83"

	"souk/services/payments/app"
)

// Authorise implements app.Provider.
func (p *Provider) Authorise(ctx context.Context, r app.Request) (app.Result, error) {
	api, err := p.api()
	if err != nil {
		return app.Result{}, err
	}
	params, ok := creation(r)
	if !ok {
		return app.Result{Outcome: app.Declined, Reason: noAmount}, nil
	}
	if old(r) {
		if found, err := intent(ctx, api, r); err != nil || found != nil {
			return authorised(found), err
		}
	}
	made, err := api.V1PaymentIntents.Create(ctx, params)
	if err == nil {
		return authorised(made), nil
	}
	if no, ok := refusalOf(err); ok {
		return app.Result{Outcome: app.Declined, Reference: no.reference(), Reason: no.reason}, nil
	}
	// The key is a tombstone's (see Void), or Stripe had a fault that it will answer for ever: what has become of it?
	if kind := kindOf(err); kind == keyUsed || kind == fault {
		if found, problem := intent(ctx, api, r); problem == nil && found != nil {
			return authorised(found), nil
		}
	}
	return app.Result{}, unknown(err)
}

// creation makes the request that authorises: the same for the same r, as Stripe refuses a key with another request. ok is
// false if the amount can't be asked for.
func creation(r app.Request) (params *stripego.PaymentIntentCreateParams, ok bool) {
	amount, ok := minor(r.Amount)
	if !ok {
		return nil, false
	}
	params = &stripego.PaymentIntentCreateParams{
		Amount:                stripego.Int64(amount),
		Currency:              stripego.String(strings.ToLower(r.Amount.Currency)),
		CaptureMethod:         stripego.String(string(stripego.PaymentIntentCaptureMethodManual)),
		Confirm:               stripego.Bool(true),
		ErrorOnRequiresAction: stripego.Bool(true), // the customer is not here to be asked
		PaymentMethod:         stripego.String(r.Method),
		PaymentMethodTypes:    []*string{stripego.String("card")},
		Metadata:              metadata(r),
	}
	params.SetIdempotencyKey(r.OperationID)
	return params, true
}

// authorised judges a PaymentIntent by its state.
func authorised(pi *stripego.PaymentIntent) app.Result {
	if pi == nil {
		return app.Result{}
	}
	result := app.Result{Outcome: app.Declined, Reference: pi.ID}
	switch pi.Status {
	case stripego.PaymentIntentStatusRequiresCapture, stripego.PaymentIntentStatusSucceeded:
		result.Outcome = app.Authorised
	case stripego.PaymentIntentStatusProcessing:
		result.Outcome = app.Processing
	case stripego.PaymentIntentStatusCanceled:
		result.Reason = "voided"
	case stripego.PaymentIntentStatusRequiresAction:
		result.Reason = "authentication_required"
	default:
		result.Reason = "declined"
		if pi.LastPaymentError != nil {
			result.Reason = reason(pi.LastPaymentError)
		} else if pi.Metadata[metaTombstone] != "" {
			result.Reason = "voided"
		}
	}
	return result
}
