package stripe

import (
	"context"

	stripego "github.com/stripe/stripe-go/v83"

	"souk/services/payments/app"
)

// Capture implements app.Provider. A PaymentIntent is captured once, whatever is repeated.
func (p *Provider) Capture(ctx context.Context, r app.Request) (app.Result, error) {
	api, err := p.api()
	if err != nil {
		return app.Result{}, err
	}
	amount, ok := minor(r.Amount)
	if !ok {
		return app.Result{Outcome: app.Failed, Reason: noAmount}, nil
	}
	if r.Reference == "" {
		pi, err := intent(ctx, api, r)
		if err != nil {
			return app.Result{}, err
		}
		if pi == nil {
			return app.Result{}, app.ErrUnknownOperation
		}
		r.Reference = pi.ID
	}
	params := &stripego.PaymentIntentCaptureParams{AmountToCapture: stripego.Int64(amount)}
	params.SetIdempotencyKey(r.OperationID)
	pi, err := api.V1PaymentIntents.Capture(ctx, r.Reference, params)
	if err == nil {
		return captured(pi, amount), nil
	}
	kind := kindOf(err)
	if kind != refused && kind != fault {
		return app.Result{}, unknown(err)
	}
	// It may have been captured by an earlier call, or be captured no more: its state tells.
	now, problem := api.V1PaymentIntents.Retrieve(ctx, r.Reference, nil)
	if problem != nil {
		return app.Result{}, unknown(problem)
	}
	if now.Status == stripego.PaymentIntentStatusRequiresCapture {
		if kind == refused {
			result := app.Result{Outcome: app.Failed, Reference: r.Reference, Reason: "declined"}
			if no, ok := refusalOf(err); ok {
				result.Reason = no.reason
			}
			return result, nil
		}
		// Stripe answers the key with its fault for ever. The state keeps this from taking the money twice.
		if now, problem = api.V1PaymentIntents.Capture(ctx, r.Reference, &stripego.PaymentIntentCaptureParams{AmountToCapture: stripego.Int64(amount)}); problem != nil {
			return app.Result{}, unknown(problem)
		}
	}
	return captured(now, amount), nil
}

// captured judges by the state of a PaymentIntent of which amount was to be taken.
func captured(pi *stripego.PaymentIntent, amount int64) app.Result {
	result := app.Result{Outcome: app.Failed, Reference: pi.ID}
	switch {
	case pi.Status == stripego.PaymentIntentStatusProcessing:
		result.Outcome = app.Processing
	case pi.Status == stripego.PaymentIntentStatusSucceeded && pi.AmountReceived != amount:
		result.Reason = "captured_otherwise"
	case pi.Status == stripego.PaymentIntentStatusSucceeded:
		result.Outcome = app.Captured
	case pi.Status == stripego.PaymentIntentStatusCanceled:
		result.Reason = "authorisation_ended"
	default:
		result.Reason = "not_authorised"
	}
	return result
}
