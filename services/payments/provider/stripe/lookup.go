package stripe

import (
	"context"

	stripego "github.com/stripe/stripe-go/v83"
	"golang.org/x/sync/errgroup"

	"souk/services/payments/app"
)

// Lookup implements app.Provider.
func (p *Provider) Lookup(ctx context.Context, kind app.Kind, r app.Request) (app.Result, error) {
	api, err := p.api()
	if err != nil {
		return app.Result{}, err
	}
	if kind == app.OpRefund {
		found, err := refund(ctx, api, r)
		if err == nil && found == nil {
			err = app.ErrUnknownOperation
		}
		return refunded(found), err
	}
	pi, err := intent(ctx, api, r)
	if err != nil {
		return app.Result{}, err
	}
	if pi == nil {
		return app.Result{}, app.ErrUnknownOperation
	}
	done := pi.Status == stripego.PaymentIntentStatusSucceeded || pi.Status == stripego.PaymentIntentStatusCanceled
	switch {
	case kind == app.OpAuthorise:
		return authorised(pi), nil
	case !done:
		return app.Result{}, app.ErrUnknownOperation // neither captured nor cancelled
	case kind == app.OpCapture:
		amount, _ := minor(r.Amount) // 0 is what nobody has captured
		return captured(pi, amount), nil
	case pi.Status == stripego.PaymentIntentStatusCanceled:
		return app.Result{Outcome: app.Voided, Reference: pi.ID}, nil
	}
	return app.Result{Outcome: app.Failed, Reference: pi.ID, Reason: "captured"}, nil
}

// totalsAtOnce bounds the questions that Stripe gets at a time.
const totalsAtOnce = 8

// Totals implements app.Provider. Stripe is asked for one payment after the other: this is for reconciliations.
func (p *Provider) Totals(ctx context.Context, payments []app.Request) ([]app.Totals, error) {
	api, err := p.api()
	if err != nil {
		return nil, err
	}
	totals := make([]app.Totals, len(payments))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(totalsAtOnce)
	for i, r := range payments {
		g.Go(func() error {
			t, err := total(ctx, api, r)
			totals[i] = t
			return err
		})
	}
	return totals, g.Wait()
}

func total(ctx context.Context, api *stripego.Client, r app.Request) (app.Totals, error) {
	pi, err := intent(ctx, api, r)
	if err != nil || pi == nil {
		return app.Totals{}, err
	}
	t := app.Totals{Known: true, Held: ours(pi.AmountCapturable, r.Amount.Currency), Captured: ours(pi.AmountReceived, r.Amount.Currency)}
	if pi.AmountReceived == 0 {
		return t, nil
	}
	list := &stripego.RefundListParams{PaymentIntent: stripego.String(pi.ID)}
	list.Limit = stripego.Int64(100)
	for re, err := range api.V1Refunds.List(ctx, list) {
		if err != nil {
			return app.Totals{}, unknown(err)
		}
		if re.Status == stripego.RefundStatusSucceeded {
			t.Refunded += ours(re.Amount, r.Amount.Currency)
		}
	}
	return t, nil
}
