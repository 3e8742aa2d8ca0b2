package stripe

import (
	"context"

	stripego "github.com/stripe/stripe-go/v83"

	"souk/services/payments/app"
)

// Refund implements app.Provider.
func (p *Provider) Refund(ctx context.Context, r app.Request) (app.Result, error) {
	api, err := p.api()
	if err != nil {
		return app.Result{}, err
	}
	amount, ok := minor(r.Amount)
	if !ok {
		return app.Result{Outcome: app.Failed, Reason: noAmount}, nil
	}
	// Refunds are few and money given back twice is lost: look first, key or no key.
	if found, err := refund(ctx, api, r); err != nil || found != nil {
		return refunded(found), err
	}
	params := &stripego.RefundCreateParams{
		PaymentIntent: stripego.String(r.Reference), Amount: stripego.Int64(amount), Metadata: metadata(r),
	}
	params.SetIdempotencyKey(r.OperationID)
	made, err := api.V1Refunds.Create(ctx, params)
	if err == nil {
		return refunded(made), nil
	}
	if no, ok := refusalOf(err); ok {
		return app.Result{Outcome: app.Failed, Reference: r.Reference, Reason: no.reason}, nil
	}
	return app.Result{}, unknown(err)
}

// refund finds r's refund among those of its payment; nil if Stripe has none.
func refund(ctx context.Context, api *stripego.Client, r app.Request) (*stripego.Refund, error) {
	list := &stripego.RefundListParams{PaymentIntent: stripego.String(r.Reference)}
	list.Limit = stripego.Int64(100)
	for found, err := range api.V1Refunds.List(ctx, list) {
		if err != nil {
			return nil, unknown(err)
		}
		if found.Metadata[metaOperation] == r.OperationID {
			return found, nil
		}
	}
	return nil, nil
}

// refunded judges a refund by its state.
func refunded(re *stripego.Refund) app.Result {
	if re == nil {
		return app.Result{}
	}
	result := app.Result{Outcome: app.Processing, Reference: re.ID}
	switch re.Status {
	case stripego.RefundStatusSucceeded:
		result.Outcome = app.Refunded
	case stripego.RefundStatusFailed, stripego.RefundStatusCanceled:
		result.Outcome, result.Reason = app.Failed, "refund_failed"
		if re.FailureReason != "" {
			result.Reason = string(re.FailureReason)
		}
	}
	return result
}
